"""`manage.py collect_from_above`: ask the hubs above now; the scheduler does it by itself."""

from typing import Any

from django.core.management.base import CommandParser

from exchange import uplink
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Fetch from the hubs above."""

    help = "Fetch what waits at the hubs above, and with --directory the agencies that they list."

    def add_arguments(self, parser: CommandParser) -> None:
        """--directory."""
        parser.add_argument("--directory", action="store_true", help="read their directories first")
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Fetch."""
        agencies = uplink.read_directories() if options["directory"] else 0
        facts = {"agencies": agencies, "packages": uplink.collect_all()}
        self.stdout.write(console.text(facts, as_json=options["json"]))
