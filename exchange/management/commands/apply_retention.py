"""`manage.py apply_retention`: remove what the rules of the settings no longer keep."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from exchange import retention
from exchange.management.command import HubCommand
from exchange.management.console import text


class Command(HubCommand):
    """Apply HUB_KEEP_EVENTS and HUB_KEEP_PACKAGES; the scheduler does so once a day."""

    help = (
        "Remove the bodies of events and the original bytes of packages that HUB_KEEP_EVENTS and "
        "HUB_KEEP_PACKAGES no longer keep. Hashes, receipts' signatures and proofs stay. "
        "Without these settings nothing is ever removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--dry-run, --json."""
        parser.add_argument("--dry-run", action="store_true", help="only count what would be removed")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove, and say how much."""
        removed = retention.apply_rules(timezone.now(), dry_run=options["dry_run"])
        self.stdout.write(text(asdict(removed), as_json=options["json"]))
