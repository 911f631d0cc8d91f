"""One hub per data directory and port: what `runhub` makes sure of before it starts anything."""

import fcntl
import socket
from pathlib import Path
from typing import IO

from django.core.management.base import CommandError


def lock(data_dir: Path) -> IO[bytes]:
    """Hold the data directory until the file is closed; the kernel lets go of it however the process ends.

    Raises CommandError when another hub holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    file = (data_dir / "runhub.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise CommandError(
            f"Trục đã chạy trên thư mục {data_dir}. / A hub is already running on {data_dir}."
        ) from error
    return file


def check_port(bind: str, port: int) -> None:
    """Raise CommandError, in one line, when nobody can listen on `port` of `bind`."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            raise CommandError(
                f"Không mở được {bind}:{port} ({error.strerror}); hãy chọn cổng khác bằng HUB_PORT. / "
                f"Cannot listen on {bind}:{port} ({error.strerror}); choose another HUB_PORT."
            ) from error
