"""Benches of the front door."""

import socket
from typing import Any

from tests import live
from tests.bench import floor, load
from tests.bench.crowd import MANY, PULLED
from tests.bench.rows import Row
from tests.bench.stage import PROCESSES, THREADS, Stage, connect

CLIENTS, NUMBER = 16, 800
SMALL, LARGE = 20_000, 1_000_000


def packages(stage: Stage) -> list[Row]:
    """One recipient, 20 KB and 1 MB; then a hundred recipients."""
    small = _accepted(stage, stage.documents(NUMBER, SMALL, PULLED), CLIENTS)
    small_floor, large_floor = _floors(stage)
    large = _accepted(stage, stage.documents(120, LARGE, PULLED), CLIENTS)
    one = _accepted(stage, stage.documents(100, SMALL, PULLED), 1)
    many = _accepted(stage, stage.documents(60, SMALL, *MANY), 1)
    return [
        Row("accept 20 KB", small.rate, "/s", "≥ 250/s (4 × pyas2: 60/s, quoted)", small_floor.rate),
        Row("accept 20 KB, p99", small.share(0.99) * 1000, "ms", "≤ 150 ms", None),
        Row("accept 1 MB", large.rate, "/s", "≥ 50/s", large_floor.rate),
        Row("100 recipients ÷ 1", many.share(0.5) / one.share(0.5), "×", "≤ 3 ×", None),
    ]


def _accepted(stage: Stage, documents: list[bytes], clients: int) -> load.Times:
    call = load.post(f"{stage.url}/api/v1/packages", documents, stage.headers("office"), expect=201)
    return load.closed(call, len(documents), clients)


def _floors(stage: Stage) -> tuple[load.Times, load.Times]:
    """The plain view, with the rows of an acceptance that the hub made."""
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
        return _floor(stage, port, NUMBER, SMALL), _floor(stage, port, 120, LARGE)
    finally:
        server.terminate()
        server.wait(20)


def _trimmed(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """As many rows as one acceptance has: the deltas that wait may be of many, a pending one may be gone."""
    return {table: some[:3] for table, some in rows.items() if some}


def _floor(stage: Stage, port: int, number: int, size: int) -> load.Times:
    documents = stage.documents(number, size, PULLED)
    call = load.post(f"http://127.0.0.1:{port}/floor", documents, stage.headers("office"), expect=201)
    return load.closed(call, number, CLIENTS)


def _wait(port: int) -> None:
    live.until(lambda: _listens(port), "the floor")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
