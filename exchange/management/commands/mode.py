"""`manage.py mode`: show or switch maintenance and read-only mode."""

import os
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from exchange import mode
from exchange.management.command import HubCommand


class Command(HubCommand):
    """One word says what the hub takes and moves from now on."""

    help = (
        "normal; maintenance: take nothing new, keep delivering; read-only: no document moves, looking is "
        "allowed. Clients get 503 with Retry-After. Without a word: show the mode."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """MODE, --retry-after."""
        parser.add_argument("mode", nargs="?", choices=[str(item) for item in mode.Mode])
        parser.add_argument("--retry-after", type=int, default=300, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Switch, and say what is in force."""
        if options["mode"]:
            by, now = f"uid:{os.getuid()}", datetime.now(UTC)
            mode.switch(mode.Mode(options["mode"]), seconds=max(1, options["retry_after"]), by=by, at=now)
        self.stdout.write(str(mode.standing().mode))
