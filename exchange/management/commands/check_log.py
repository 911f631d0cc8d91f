"""`manage.py check_log`: whether the log of this database holds, rebuilt from the stored bytes."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from exchange.audit import run
from exchange.audit.report import Finding
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Check the log and say what does not hold."""

    help = (
        "Rebuild the audit log from its stored bytes and check everything against it. "
        "Exit code: 0 all holds, 1 something does not, 2 the check could not be done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--recent, --no-receipts, --json."""
        parser.add_argument("--recent", action="store_true", help="only what came since the last good check")
        parser.add_argument("--no-receipts", action="store_true", help="faster: leave the receipts out")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and exit 1 when there are findings."""
        try:
            made = run.check(
                datetime.now(UTC), full=not options["recent"], with_receipts=not options["no_receipts"]
            )
        except (DatabaseError, OSError) as error:
            raise CommandError(
                f"Không kiểm tra được: {error} / Could not check: {error}", returncode=2
            ) from error
        found = [Finding(**item) for item in made.findings]
        if options["json"]:
            facts = {"held": made.held, "events": made.events, "size": made.size, "findings": made.findings}
            self.stdout.write(json.dumps(facts, ensure_ascii=False))
        else:
            for finding in found:
                self.stdout.write(finding.text())
            verdict = "ĐÚNG / OK" if made.held else f"SAI / FAILED ({len(found)})"
            self.stdout.write(f"{verdict}: {made.events} sự kiện / events")
        if found:
            sys.exit(1)
