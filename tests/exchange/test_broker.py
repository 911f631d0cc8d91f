"""The embedded broker: a reader never sees half a message, whoever writes at the same time. And a broker that
is away: nobody waits for it."""

import socket
import threading
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

import exchange.celery

pytestmark = pytest.mark.once

MESSAGES = 300
LANE = Queue("lane", Exchange("lane"), routing_key="lane")
assert exchange.celery.app, "registers the transport"


@pytest.fixture
def url_options(tmp_path: Path) -> dict[str, str]:
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    return {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }


def test_messages_written_while_others_read_arrive_whole(url_options: dict[str, str]) -> None:
    def write(start: int) -> None:
        with Connection("hub-files://localhost", transport_options=url_options) as connection:
            queue = connection.SimpleQueue(LANE)  # type: ignore[arg-type]  # a Queue will do, says its docstring
            for number in range(start, start + MESSAGES // 3):
                queue.put({"number": number, "padding": "x" * 20_000})

    writers = [threading.Thread(target=write, args=(n * MESSAGES // 3,)) for n in range(3)]
    seen: list[int] = []
    with Connection("hub-files://localhost", transport_options=url_options) as connection:
        queue = connection.SimpleQueue(LANE)  # type: ignore[arg-type]  # a Queue will do, says its docstring
        for writer in writers:
            writer.start()
        while len(seen) < MESSAGES:
            try:
                message = queue.get(block=False)
            except Empty:
                assert any(writer.is_alive() for writer in writers) or queue.qsize(), f"only {len(seen)} came"
                continue
            seen.append(message.payload["number"])
            message.ack()
    assert sorted(seen) == list(range(MESSAGES))


def test_a_broker_that_is_away_is_asked_twice_and_not_for_seconds() -> None:
    asked: list[str] = []

    def refuse() -> None:
        while True:
            try:
                asking, _ = listener.accept()
            except OSError:
                return
            asked.append(str(asking.getpeername()))
            asking.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = threading.Thread(target=refuse)
        refusing.start()
        port = listener.getsockname()[1]
        broker = Connection(f"amqp://guest:guest@127.0.0.1:{port}//", transport_options=exchange.celery.AWAY)
        with pytest.raises(OperationalError):
            broker.default_channel  # noqa: B018  # what sending a message asks for
        listener.shutdown(socket.SHUT_RDWR)
    refusing.join()
    assert len(asked) == 2
