"""The embedded Celery broker: kombu's filesystem transport, made safe for several processes.

A message and a table of bindings appear under their name only when they are complete; as kombu writes them,
a reader can see an empty file in between and its worker dies of it.
"""

import fcntl
import os
import time
from json import dumps
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.transport import filesystem

WAIT_SECONDS = 0.25


class Channel(filesystem.Channel):
    """Writes beside the final name, then renames."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # kombu differs with itself
        name = f"{time.time_ns()}_{uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _queue_bind(self, exchange: str, routing_key: Any, pattern: Any, queue: Any) -> None:
        bound = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with (Path(self.control_folder) / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            table = self.get_table(exchange)
            if bound not in table:
                _write_whole(Path(self.control_folder) / f"{exchange}.exchange", dumps([bound, *table]))


class Transport(filesystem.Transport):
    """kombu's transport with the channel above, and short waits for a message: a worker that is asked to stop
    does so between two of them."""

    Channel = Channel

    def drain_events(  # type: ignore[override]  # as kombu's own virtual transport
        self, connection: Any, timeout: float | None = None
    ) -> None:
        super().drain_events(connection, timeout=timeout and min(timeout, WAIT_SECONDS))


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{uuid4()}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(path)
