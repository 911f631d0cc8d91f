"""`manage.py open_new_log`: go on after an incident that the guarded signer rightly refuses."""

import time
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import sealing
from exchange.management.command import HubCommand
from exchange.management.console import change
from exchange.signer import SignerRefused

PATIENCE_SECONDS = 30


class Command(HubCommand):
    """Open a new log whose first event carries the last published checkpoint and the incident."""

    help = (
        "After a database was restored from a backup the signer refuses to go on with the old log. This "
        "opens a new one, whose first event carries the last checkpoint that was published and the incident."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--incident TEXT."""
        parser.add_argument("--incident", required=True, metavar="TEXT", help="what happened, for auditors")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError when another sealer keeps leading, or there is nothing to go on from."""
        if not options["incident"].strip():
            raise CommandError("Hãy nêu sự cố. / Say what happened.")
        try:
            made = self._open(options["incident"], time.monotonic() + PATIENCE_SECONDS)
        except SignerRefused as error:
            raise CommandError(f"Bộ ký từ chối: {error} / The signer refuses: {error}") from error
        self.stdout.write(f"{made.origin}\n{made.key}")

    def _open(self, incident: str, deadline: float) -> Any:
        """A sealer whose signer refuses lets go of the lock between its tries."""
        while True:
            try:
                with sealing.leading():
                    return sealing.open_log(datetime.now(UTC), incident=incident, actor=change().actor)
            except sealing.NotLeading as error:
                if time.monotonic() > deadline:
                    raise CommandError(
                        "Tiến trình ghi nhật ký vẫn đang chạy bình thường; hãy dừng trục trước. / "
                        "The sealer is at work; stop the hub first."
                    ) from error
                time.sleep(0.5)
