"""`manage.py add_certificate`: a signing certificate of an agency."""

from typing import Any

from django.core.management.base import CommandParser

from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Register a certificate."""

    help = "Register the signing certificate in FILE (PEM or DER) for an agency."

    def add_arguments(self, parser: CommandParser) -> None:
        """AGENCY FILE."""
        parser.add_argument("agency", metavar="AGENCY", help="a code of the agency")
        parser.add_argument("file", metavar="FILE", type=console.file_bytes)
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and describe the certificate."""
        agency = console.agency(options["agency"])
        with console.refusals_shown():
            certificate = registry.add_certificate(agency, options["file"], by=console.change())
        facts = {
            "agency": agency.code,
            "fingerprint": certificate.fingerprint,
            "serial": certificate.serial,
            "not_before": certificate.not_before.isoformat(),
            "not_after": certificate.not_after.isoformat(),
        }
        self.stdout.write(console.text(facts, as_json=options["json"]))
