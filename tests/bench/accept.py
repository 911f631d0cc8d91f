"""Benches of the front door."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests import live
from tests.bench import floor, load
from tests.bench.crowd import MANY, PULLED
from tests.bench.rows import Row
from tests.bench.stage import PROCESSES, THREADS, Stage, connect

CLIENTS, ROUNDS = 16, 5
NUMBER, NUMBER_LARGE = 200, 30  # in a round
SMALL, LARGE = 20_000, 1_000_000


def packages(stage: Stage) -> list[Row]:
    """One recipient, 20 KB and 1 MB, in turns with the floor; then a hundred recipients."""
    with _floor(stage) as port:
        small, small_floor = _in_turns(stage, port, SMALL, NUMBER)
        large, large_floor = _in_turns(stage, port, LARGE, NUMBER_LARGE)
    one = _accepted(stage, stage.documents(100, SMALL, PULLED), 1)
    many = _accepted(stage, stage.documents(60, SMALL, *MANY), 1)
    return [
        Row("accept 20 KB", _rate(small), "/s", "≥ 250/s (4 × pyas2: 60/s, quoted)", _rate(small_floor)),
        Row("accept 20 KB, p99", _p99(small) * 1000, "ms", "≤ 150 ms", None),
        Row("accept 1 MB", _rate(large), "/s", "≥ 50/s", _rate(large_floor)),
        Row("100 recipients ÷ 1", many.share(0.5) / one.share(0.5), "×", "≤ 3 ×", None),
    ]


def _in_turns(stage: Stage, port: int, size: int, number: int) -> tuple[list[load.Times], list[load.Times]]:
    """ROUNDS of hub and floor, one after the other: a shared machine is not as fast now as it was then."""
    hub, plain = [], []
    _accepted(stage, stage.documents(CLIENTS, size, PULLED), CLIENTS)  # every thread has its connection
    _plain(stage, port, stage.documents(CLIENTS, size, PULLED))
    for _ in range(ROUNDS):
        hub.append(_accepted(stage, stage.documents(number, size, PULLED), CLIENTS))
        plain.append(_plain(stage, port, stage.documents(number, size, PULLED)))
    return hub, plain


def _rate(rounds: list[load.Times]) -> float:
    return median(one.rate for one in rounds)


def _p99(rounds: list[load.Times]) -> float:
    return load.Times([seconds for one in rounds for seconds in one.each]).share(0.99)


def _accepted(stage: Stage, documents: list[bytes], clients: int) -> load.Times:
    call = load.post(f"{stage.url}/api/v1/packages", documents, stage.headers("office"), expect=201)
    return load.closed(call, len(documents), clients)


@contextmanager
def _floor(stage: Stage) -> Iterator[int]:
    """The port of the plain view, with the rows of an acceptance that the hub made."""
    first = stage.documents(1, SMALL, PULLED)[0]
    _, answer = stage.hub.send(stage.tokens["office"], first)
    connect(stage.hub)
    path = stage.directory / "rows.json"
    floor.dump(_trimmed(floor.prepare(answer["id"])), path)
    port = live.free_port()
    stage.hub.environ["FLOOR_ROWS"] = str(path)
    server = stage.process("-m", "tests.bench.floor", str(port), str(PROCESSES), str(THREADS))
    try:
        _wait(port)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def _trimmed(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """As many rows as one acceptance has: the deltas that wait may be of many, a pending one may be gone."""
    return {table: some[:3] for table, some in rows.items() if some}


def _plain(stage: Stage, port: int, documents: list[bytes]) -> load.Times:
    call = load.post(f"http://127.0.0.1:{port}/floor", documents, stage.headers("office"), expect=201)
    return load.closed(call, len(documents), CLIENTS)


def _wait(port: int) -> None:
    live.until(lambda: _listens(port), "the floor")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
