"""Examination of large packages where it can be killed, and few of them at once.

libxml2 and OpenSSL hold the thread until they are done: a time limit is only real for a process. Packages up
to HUB_ISOLATE_BYTES, whose cost the gates of `envelope.xml` bound, are examined in the web process itself.
"""

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from multiprocessing.connection import Connection
from threading import BoundedSemaphore, Lock
from typing import Any

import structlog
from django.conf import settings

from exchange.envelope.examine import Examined, Judge
from exchange.envelope.examine import examine as examine_here
from exchange.refusals import Refused

_ROOM_SECONDS = 10
_logger = structlog.get_logger(__name__)


def is_small(length: int | None) -> bool:
    """Whether a body of `length` bytes (None: not announced) is examined here. Such a body has arrived before
    the application is asked."""
    return length is not None and length <= settings.ENVIRONMENT.isolate_bytes


@contextmanager
def room(length: int | None) -> Iterator[None]:
    """Room to read and examine a body of `length` bytes (None: not announced) in this process.

    At most HUB_LARGE_AT_ONCE large ones are in work at once; the next one waits a little. Raises Refused
    hub.busy.
    """
    if is_small(length):
        yield
        return
    if not _slots.acquire(timeout=_ROOM_SECONDS):
        raise Refused("hub.busy", seconds=_ROOM_SECONDS)
    try:
        yield
    finally:
        _slots.release()


_slots = BoundedSemaphore(settings.ENVIRONMENT.large_at_once)


def examine(raw: bytes, judge: Judge, today: date) -> Examined:
    """As `envelope.examine.examine`, with limits. Raises Refused package.too-costly beyond them."""
    if is_small(len(raw)):
        return examine_here(raw, judge, today)
    examiner = _idle()
    try:
        examined = examiner.examine(raw, judge, today)
    except Refused:
        _keep(examiner)
        raise
    except BaseException:
        examiner.kill()
        raise
    _keep(examiner)
    return examined


class Examiner:
    """One child process (`exchange.examiner`) and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        words = (str(theirs.fileno()), str(settings.ENVIRONMENT.examine_megabytes))
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "exchange.examiner", *words),
                cwd=settings.BASE_DIR,
                env={},  # no setting, and so no secret
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._connection: Connection[Any, Any] = Connection(ours.detach())

    @property
    def alive(self) -> bool:
        """Whether it can take a job."""
        return not self._connection.closed and self._process.poll() is None

    def examine(self, raw: bytes, judge: Judge, today: date) -> Examined:
        """One job. What the judge raises, other than Refused, is raised with the job unfinished."""
        seconds = settings.ENVIRONMENT.examine_seconds
        deadline = time.monotonic() + 2 * seconds
        word, value = self._exchange(("job", (today, seconds)), deadline, raw)
        while word in ("terms", "certificate"):
            word, value = self._exchange(_answer(judge, word, value), deadline)
        if word == "refused":
            raise Refused(value)
        if word != "done":
            raise self._too_costly(word)
        examined: Examined = value
        return examined

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _exchange(self, message: tuple[str, Any], deadline: float, raw: bytes = b"") -> tuple[str, Any]:
        """Say something and hear what comes next. Raises Refused package.too-costly."""
        try:
            self._connection.send(message)
            if raw:  # by itself: a pickle would be one more copy at either end
                self._connection.send_bytes(raw)
            if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            heard: tuple[str, Any] = _Words(BytesIO(self._connection.recv_bytes())).load()
        except (
            EOFError,
            OSError,
            pickle.UnpicklingError,
        ) as error:  # stopped, late, or not itself
            raise self._too_costly(type(error).__name__) from error
        return heard

    def _too_costly(self, how: str) -> Refused:
        self.kill()
        _logger.warning("examiner_stopped", how=how, exit_code=self._process.returncode)
        environment = settings.ENVIRONMENT
        return Refused(
            "package.too-costly", seconds=environment.examine_seconds, megabytes=environment.examine_megabytes
        )


class _Words(pickle.Unpickler):
    """What an examiner says: values of the package format only.

    It reads hostile bytes with C libraries, so what comes back may be the attacker's word: it must not make
    this process call anything.
    """

    def find_class(self, module: str, name: str) -> Any:
        """A class of the package format, by its own name. Raises UnpicklingError."""
        if module.startswith("exchange.envelope.") or (module, name) in _PLAIN:
            found = super().find_class(module, name)
            if isinstance(found, type) and (found.__module__, found.__qualname__) == (module, name):
                return found
        raise pickle.UnpicklingError(f"{module}.{name}")


_PLAIN = {
    ("exchange.refusals", "Problem"),
    *(("datetime", name) for name in ("date", "datetime", "timedelta", "timezone")),
}


def _answer(judge: Judge, question: str, value: Any) -> tuple[str, Any]:
    try:
        if question == "terms":
            return "answer", judge.terms(value)
        judge.certificate(value)
    except Refused as refused:
        return "refused", refused.problems
    return "answer", None


# --- the examiners of this process --------------------------------------------------------------------

_examiners: list[Examiner] = []
_lock = Lock()


def _idle() -> Examiner:
    with _lock:
        while _examiners:
            examiner = _examiners.pop()
            if examiner.alive:
                return examiner
    return Examiner()


def _keep(examiner: Examiner) -> None:
    with _lock:
        if examiner.alive and len(_examiners) < settings.ENVIRONMENT.large_at_once:
            _examiners.append(examiner)
            return
    examiner.kill()
