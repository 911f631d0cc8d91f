"""`manage.py verify_store`: whether the vault has the bytes of every package as they were accepted."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from exchange.audit import store
from exchange.management.command import HubCommand

WORDS = {
    "missing": "thiếu trong kho / missing in the store",
    "altered": "đã bị thay đổi / altered",
    "left": "đã có lệnh xóa nhưng còn trong kho / removed, but still in the store",
}


class Command(HubCommand):
    """Rehash the store and say what does not hold."""

    help = (
        "Read the original bytes of every package again and compare them with the digest that was accepted. "
        "Exit code: 0 all holds, 1 something does not, 2 the check could not be done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and exit 1 when there are findings."""
        try:
            outcome = store.verify(self._progress if sys.stderr.isatty() else lambda done: None)
        except (DatabaseError, OSError) as error:
            raise CommandError(
                f"Không kiểm tra được: {error} / Could not check: {error}", returncode=2
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(outcome)))
        else:
            for finding in outcome.findings:
                self.stdout.write(f"SAI / FAILED: {finding.package}: {WORDS[finding.problem]}")
            verdict = "SAI / FAILED" if outcome.findings else "ĐÚNG / OK"
            self.stdout.write(
                f"{verdict}: {outcome.packages} gói tin / packages, {outcome.size} byte, "
                f"{outcome.removed} đã xóa theo quy định / removed by rule or order"
            )
        if outcome.findings:
            sys.exit(1)

    def _progress(self, done: int) -> None:
        self.stderr.write(f"{done}…")
