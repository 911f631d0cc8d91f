"""A process that examines large packages and can be killed (`python -m exchange.examiner FD MEGABYTES`).

It speaks over one socket: a job comes in; questions for the judge go out and answers come back; then the
result. It knows no Django, no database and no secret, and ends when its parent does.
"""

import resource
import sys
import time
from datetime import date
from multiprocessing.connection import Connection
from typing import Any

from exchange.envelope.examine import Terms, examine
from exchange.refusals import Problem, Refused

Message = tuple[str, Any]


class Remote:
    """The judge at the other end of the socket."""

    def __init__(self, connection: "Connection[Message, Message]") -> None:
        self._connection = connection

    def terms(self, organ: str) -> Terms:
        """Asked there."""
        terms: Terms = self._ask("terms", organ)
        return terms

    def certificate(self, der: bytes) -> None:
        """Asked there. Raises Refused."""
        self._ask("certificate", der)

    def _ask(self, question: str, value: object) -> Any:
        self._connection.send((question, value))
        word, answer = self._connection.recv()
        if word == "refused":
            raise Refused(answer)
        return answer


def work(connection: "Connection[Message, Message]") -> None:
    """Examine one package after the other until the parent hangs up."""
    while True:
        try:
            _, (today, seconds) = connection.recv()
            raw = connection.recv_bytes()
        except EOFError:
            return
        connection.send(_examined(connection, raw, today, seconds))


def _examined(connection: "Connection[Message, Message]", raw: bytes, today: date, seconds: int) -> Message:
    # The limit counts all the processor time of this process: the kernel kills it at the end of this job's.
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, hard))
    try:
        return "done", examine(raw, Remote(connection), today)
    except Refused as refused:
        problems: tuple[Problem, ...] = refused.problems
        return "refused", problems
    except MemoryError:
        return "exhausted", None


def main() -> None:
    """Limit the memory of this process, then work."""
    descriptor, megabytes = map(int, sys.argv[1:])
    _, most = resource.getrlimit(resource.RLIMIT_DATA)  # that of a worker is not ours
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    work(Connection(descriptor))


if __name__ == "__main__":
    main()
