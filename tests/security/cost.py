"""What examining a package costs: processor time and memory of a process that does nothing else.

`python -m tests.security.cost` reads pickled packages and answers, for each, its code, seconds and megabytes.
A child that is forked for every package has limits of its own: a regression ends a test, not the machine.
"""

import os
import pickle
import resource
import sys
from datetime import date

from exchange.envelope.examine import Terms, examine
from exchange.refusals import Refused

Job = tuple[bytes, tuple[bytes, ...]]
Cost = tuple[str, float, float]


class Willing:
    """A judge who lets everything through that the package alone can decide."""

    def __init__(self, certificates: tuple[bytes, ...]) -> None:
        self.certificates = certificates

    def terms(self, organ: str) -> Terms:
        """Signing is required."""
        return Terms(organ=organ, certificates=self.certificates, required=True)

    def certificate(self, der: bytes) -> None:
        """May sign."""


def cost(job: Job) -> Cost:
    """Examine in a forked child; its code ("accepted" for none), seconds of processor time, megabytes."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        os.write(writer, _code(job).encode())
        os._exit(0)
    os.close(writer)
    _, _, used = os.wait4(pid, 0)
    code = os.read(reader, 200).decode() or "killed"
    os.close(reader)
    return code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _code(job: Job) -> str:
    raw, certificates = job
    try:
        examine(raw, Willing(certificates), date(2026, 11, 25))
    except Refused as refused:
        return refused.code
    return "accepted"


if __name__ == "__main__":
    jobs: list[Job] = pickle.load(sys.stdin.buffer)
    pickle.dump([cost(job) for job in jobs], sys.stdout.buffer)
