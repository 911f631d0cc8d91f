"""`manage.py sign_package`: sign an edXML file as its sender."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from exchange.envelope.signing import read_identity, sign
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Sign a package."""

    help = "Write the package IN to OUT with the signature of --key; every other byte stays as it is."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """IN OUT --key --certificate."""
        parser.add_argument("source", metavar="IN", type=console.file_bytes)
        parser.add_argument("target", metavar="OUT", type=Path)
        parser.add_argument(
            "--key", type=console.file_bytes, required=True, help="private key, PEM, no password"
        )
        parser.add_argument(
            "--certificate", type=console.file_bytes, required=True, help="its chain, PEM, signer's first"
        )
        parser.add_argument("--xades", action="store_true", help="add the signing time (XAdES-B-B)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sign and write."""
        try:
            key, chain = read_identity(options["key"], options["certificate"])
            with console.refusals_shown():
                signed = sign(
                    options["source"],
                    key=key,
                    certificate_chain=chain,
                    xades=options["xades"],
                    at=timezone.now(),
                )
            options["target"].write_bytes(signed)
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
