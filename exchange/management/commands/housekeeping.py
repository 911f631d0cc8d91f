"""`manage.py housekeeping`: remove what has had its time, and show how big everything is."""

import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from exchange import housekeeping
from exchange.management.command import HubCommand


class Command(HubCommand):
    """What the scheduler does every night, now."""

    help = (
        "Remove attempts, sessions and tokens that have had their time (the scheduler does it every night), "
        "and show the size of each table. --look removes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--look, --json."""
        parser.add_argument("--look", action="store_true", help="only count what would be removed")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tidy and print."""
        now = datetime.now(UTC)
        if options["look"]:
            removed = {name: rows.count() for name, rows in housekeeping.overdue(now).items()}
        else:
            removed = housekeeping.tidy(now)
        facts = {"removed": removed, "bytes": housekeeping.sizes()}
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        self.stdout.write("\n".join(f"{name:<12} {number}" for name, number in removed.items()))
        self.stdout.write(
            "\n".join(f"{size / 1024**2:10.1f} MB  {name}" for name, size in facts["bytes"].items())
        )
