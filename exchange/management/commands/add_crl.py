"""`manage.py add_crl`: a revocation list of a trusted authority."""

from typing import Any

from django.core.management.base import CommandParser

from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Store a revocation list."""

    help = "Store the revocation list in FILE (PEM or DER), if it is newer than the stored one."

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE --issuer FILE."""
        parser.add_argument("file", metavar="FILE", type=console.file_bytes)
        parser.add_argument(
            "--issuer",
            metavar="FILE",
            type=console.file_bytes,
            required=True,
            help="certificate of the authority that signed the list (PEM or DER)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Store and say whether it was newer."""
        with console.refusals_shown():
            newer = registry.store_crl(options["file"], options["issuer"], by=console.change())
        self.stdout.write("Đã lưu. / Stored." if newer else "Danh sách đang lưu không cũ hơn. / Not newer.")
