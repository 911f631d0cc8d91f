"""`manage.py seal_log`: the sealer, one of the hub's processes."""

import json
import signal
import threading
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import facts, keys, sealing
from exchange.management.command import HubCommand
from exchange.signer import SignerRefused


class Command(HubCommand):
    """Seal events into the log until a signal, or once."""

    help = (
        "Enter committed events into the log and sign its heads, until SIGTERM or Ctrl-C. "
        "Any number may run: one leads, the others stand by. --once: exit code 1 when it could not be done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--once, --json."""
        parser.add_argument("--once", action="store_true", help="seal what waits now, then end")
        parser.add_argument("--json", action="store_true", help="with --once: the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError for --once when another process leads or the signer refuses."""
        if options["once"]:
            sealed = _once()
            text = json.dumps({"sealed": sealed}) if options["json"] else f"sealed: {sealed}"
            self.stdout.write(text)
            return
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())

        def wait(seconds: float) -> bool:
            facts.beat("process.sealer")
            return stop.wait(seconds)

        sealing.run(wait)


def _once() -> int:
    try:
        with sealing.leading():
            sealed = sealing.seal(datetime.now(UTC))
            while sealing.store_receipts():
                pass
    except (sealing.NotLeading, SignerRefused, *keys.FAILURES) as error:
        raise CommandError(f"Chưa ghi được vào nhật ký: {error}. / Nothing was sealed: {error}.") from error
    return sealed
