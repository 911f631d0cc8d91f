"""`manage.py enrol_system`: a document-management system, its credential and its secrets."""

from secrets import token_hex
from typing import Any

from django.core.management.base import CommandParser

from agencies.directory import System
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Register a system."""

    help = "Register a system and print its credentials, which can never be read again."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME and how to reach it."""
        parser.add_argument("name", help="name of the system")
        parser.add_argument(
            "--agency", action="append", default=[], metavar="CODE", help="an agency it serves; repeatable"
        )
        parser.add_argument("--deliver", choices=System.Delivery.values, default="pull")
        parser.add_argument("--callback-url", default="", help="where packages and notices are pushed to")
        parser.add_argument(
            "--notice",
            action="store_true",
            help="tell the callback URL of reminders, and when something comes into the inbox",
        )
        parser.add_argument(
            "--kind", choices=("native", "vxp"), default="native", help="the face it speaks to"
        )
        parser.add_argument("--vxp-id", help="its systemid on the VXP face; made up for kind vxp")
        parser.add_argument(
            "--scopes", default=" ".join(registry.SCOPES), help="of: send receive directory audit"
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and print the secrets once."""
        agencies = [console.agency(code) for code in options["agency"]]
        with console.refusals_shown():
            made = registry.register_system(
                options["name"],
                by=console.change(),
                agencies=agencies,
                scopes=options["scopes"].replace(",", " ").split(),
                kind=options["kind"],
                delivery=options["deliver"],
                callback_url=options["callback_url"],
                notice=options["notice"],
                vxp_id=options["vxp_id"] or (f"vxp.{token_hex(4)}" if options["kind"] == "vxp" else None),
            )
        self.stdout.write(console.text(_facts(made), as_json=options["json"]))
        if not made.client_secret:
            self.stderr.write("Hệ thống đã đăng ký từ trước. / The system was registered already.")


def _facts(made: registry.Registration) -> dict[str, object]:
    facts = {
        "id": str(made.system.id),
        "name": made.system.name,
        "client_id": made.client_id,
        "client_secret": made.client_secret,
        "webhook_secret": made.webhook_secret,
        "vxp_id": made.system.vxp_id or "",
        "vxp_secret": made.vxp_secret,
    }
    return {name: value for name, value in facts.items() if value}
