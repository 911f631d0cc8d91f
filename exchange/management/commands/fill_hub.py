"""`manage.py fill_hub`: a hub with as many documents and deliveries as one asks for."""

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from exchange.management import filling
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Fill."""

    help = (
        "Fill an EMPTY hub with invented documents, deliveries and events in bulk, to see how pages and "
        "queries bear a load. Not for a hub in use: refused when there are packages. The bytes of the "
        "packages are left out, so verify_store will miss them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """[--documents N] [--deliveries N]."""
        parser.add_argument("--documents", type=int, default=100_000)
        parser.add_argument("--deliveries", type=int, default=1_000_000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Fill, telling how far it is. Exit code 1 when the hub is not empty or cannot hold it."""
        documents, deliveries = options["documents"], options["deliveries"]
        if not 0 < documents <= deliveries:
            raise CommandError(
                "Cần ít nhất một lượt gửi cho mỗi văn bản. / At least one delivery per document."
            )
        started = time.monotonic()

        def tell(written: int) -> None:
            if written % 10_000 == 0 or written == documents:
                self.stdout.write(f"{written} văn bản / documents, {time.monotonic() - started:.0f} s")

        try:
            filling.fill(documents, deliveries, now=timezone.now(), tell=tell)
        except ValueError as error:
            raise CommandError(f"Không làm đầy được / cannot fill: {error}") from error
