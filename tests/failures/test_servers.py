"""PostgreSQL restarted and the broker cut off in the middle, both the test's own."""

import os
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kombu import Connection, Queue

from exchange.celery import WATCHED, queue
from tests import live, receiver, services
from tests.failures.trial import Trial, documents
from tests.world import Keys, World

pytestmark = pytest.mark.postgresql


class Proxy(threading.Thread):
    """A TCP proxy before the broker that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(daemon=True)
        self.target, self.open, self.pairs = (host, port), True, list[tuple[socket.socket, socket.socket]]()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            server = socket.create_connection(self.target)
            self.pairs.append((client, server))
            threading.Thread(target=self._copy, args=(client, server), daemon=True).start()

    def _copy(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with suppress(OSError, ValueError):
            while True:
                for one in select.select([client, server], [], [])[0]:
                    if not (data := one.recv(65536)):
                        return
                    other[one].sendall(data)

    def cut(self) -> None:
        """Break every connection and take no new one."""
        self.open = False
        for pair in self.pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self.pairs.clear()

    def mend(self) -> None:
        """Take connections again."""
        self.open = True


def test_a_broker_that_is_away_for_a_while_loses_nothing(tmp_path: Path, keys: Keys) -> None:
    broker, city = urlsplit(services.broker_url()), World(keys)
    proxy = Proxy(broker.hostname or "127.0.0.1", broker.port or 5672)
    proxy.start()
    who = f"{broker.username or 'guest'}:{broker.password or 'guest'}"
    url = f"amqp://{who}@127.0.0.1:{proxy.port}{broker.path}"
    with (
        receiver.running() as endpoint,
        live.running(tmp_path, keys, endpoint.url, HUB_BROKER_URL=url) as hub,
    ):

        def disturb() -> None:
            time.sleep(0.5)
            proxy.cut()
            time.sleep(5)
            proxy.mend()

        Trial(hub, city, endpoint).run(documents(city, 60), disturb)


def test_a_broker_that_comes_back_empty_loses_nothing(tmp_path: Path, keys: Keys) -> None:
    url, city = services.broker_url(), World(keys)
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url) as hub:

        def disturb() -> None:
            for _ in range(5):
                time.sleep(0.7)
                with Connection(url) as connection:  # with a queue goes every message in it
                    for name in WATCHED:
                        Queue(queue(name), channel=connection.default_channel).delete()

        Trial(hub, city, endpoint).run(documents(city, 60), disturb)


def _run(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def cluster(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """A PostgreSQL cluster of its own: its URL, and the words of pg_ctl for it."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    found = shutil.which("initdb") or (binaries and str(binaries / "initdb"))
    assert found, "initdb is needed: install postgresql"
    port, data = live.free_port(), directory / "data"
    data.mkdir()
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(directory, "postgres")
        shutil.chown(data, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory}"
    control = [*as_user, str(Path(found).with_name("pg_ctl")), "-D", str(data), "-w", "-o", options]
    control += ["-l", str(directory / "log")]
    _run([*as_user, found, "-D", str(data), "-U", "postgres", "-A", "trust", "-N"])
    _run([*control, "start"])
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", control
    finally:
        _run([*control, "-m", "immediate", "stop"])


def test_a_database_that_crashes_and_comes_back_loses_nothing(tmp_path: Path, keys: Keys) -> None:
    directory, city = Path(f"/tmp/hub-pg-{os.getpid()}-{live.free_port()}"), World(keys)  # postgres can enter
    directory.mkdir(mode=0o755)
    try:
        with (
            cluster(directory) as (url, control),
            receiver.running() as endpoint,
            live.running(tmp_path, keys, endpoint.url, HUB_DATABASE_URL=url) as hub,
        ):

            def disturb() -> None:
                time.sleep(0.7)
                _run([*control, "-m", "immediate", "restart"])

            Trial(hub, city, endpoint).run(documents(city, 60), disturb)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
