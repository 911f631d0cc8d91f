"""`manage.py restrict_agency`: what an agency does not want to receive."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agencies import directory
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Set what an agency refuses, or show it."""

    help = "Set what the agency CODE refuses to receive; without options show what holds."

    def add_arguments(self, parser: CommandParser) -> None:
        """CODE and what changes."""
        parser.add_argument("code", help="a code of the agency")
        parser.add_argument(
            "--broken-pdf",
            choices=("refuse", "accept"),
            help="documents with a broken signature inside a PDF attachment; they wait until it is checked",
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change what was given and print what holds now."""
        by = console.change()
        agency = directory.agency_by_code(options["code"], by.at)
        if agency is None:
            raise CommandError(f"Không có cơ quan «{options['code']}». / There is no such agency.")
        if options["broken_pdf"]:
            with console.refusals_shown():
                refuses = options["broken_pdf"] == "refuse"
                registry.update_agency(agency, by=by, refuses_broken_pdf=refuses)
        shown = {"broken_pdf": "refuse" if agency.refuses_broken_pdf else "accept"}
        self.stdout.write(console.text(shown, as_json=options["json"]))
