"""A whole hub of its own for one test: `manage.py runhub` with its processes, database, broker and city.

The hub runs in child processes; the test speaks HTTP to it like any agency system.
"""

import atexit
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import create_server
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
from django.conf import settings

from tests import environment, migrated, services, world
from tests.migrated import ROOT, run
from tests.world import Keys

PATIENCE = 90  # seconds until a wait for the hub is given up


def until(true: Callable[[], Any], what: str) -> Any:
    """Poll until `true` holds; fails with `what` after a long time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting for {what}")


@dataclass(slots=True)
class LiveHub:
    """A running hub: its address, the clients of its systems, its supervisor."""

    port: int
    clients: dict[str, tuple[str, str]]
    environ: dict[str, str]
    supervisor: subprocess.Popen[bytes] = field(init=False)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """One request; connection errors are tried again, as a client of a restarting hub does."""

        def once() -> tuple[int, Any] | None:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=40)
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                raw = response.read()
            except (OSError, HTTPException):
                return None
            finally:
                connection.close()
            kind = response.getheader("Content-Type", "")
            return response.status, json.loads(raw) if "json" in kind else raw

        answer: tuple[int, Any] = until(once, f"{method} {path}")
        return answer

    def token(self, system: str) -> str:
        """An access token of `system`."""
        name, secret = self.clients[system]
        body = urlencode({"grant_type": "client_credentials"}).encode()
        basic = b64encode(f"{name}:{secret}".encode()).decode()
        status, answer = self.request(
            "POST",
            "/oauth/token",
            body,
            Authorization=f"Basic {basic}",
            **{"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert status == 200, answer
        token: str = answer["access_token"]
        return token

    def send(self, token: str, raw: bytes) -> tuple[int, Any]:
        """POST a package."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/edxml+xml"}
        return self.request("POST", "/api/v1/packages", raw, **headers)

    def call(self, token: str, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """A JSON call under /api/v1/."""
        body = None if value is None else json.dumps(value).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.request(method, f"/api/v1/{path}", body, **headers)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the hub's own database; empty while it cannot be reached."""
        url = self.environ.get("HUB_DATABASE_URL")
        try:
            if url:
                with psycopg.connect(url) as connection:
                    return connection.execute(sql).fetchall()
            path = Path(self.environ["HUB_DATA_DIR"]) / "hub.sqlite3"
            with closing(sqlite3.connect(path, timeout=20)) as file:
                return file.execute(sql).fetchall()
        except psycopg.OperationalError:
            return []

    def tell(self, sql: str) -> None:
        """Change the hub's own database, before it runs."""
        if url := self.environ.get("HUB_DATABASE_URL"):
            with psycopg.connect(url) as connection:
                connection.execute(sql)
            return
        with closing(sqlite3.connect(Path(self.environ["HUB_DATA_DIR"]) / "hub.sqlite3")) as file:
            file.execute(sql)
            file.commit()

    def kill(self, name: str) -> bool:
        """SIGKILL every process of the child `name`; False when none runs."""
        words = {
            "web": "exchange.management.web",
            "worker": "worker --pool",
            "scheduler": "exchange.celery:scheduler -q beat",
            "sealer": "manage.py seal_log",
        }[name]
        victims = [pid for pid, line in descendants(self.supervisor.pid) if words in line]
        for pid in victims:
            with _gone_already():
                os.kill(pid, signal.SIGKILL)
        return bool(victims)

    def start(self) -> None:
        """Start the supervisor, with the lines of all processes in `hub.log`."""
        with (Path(self.environ["HUB_DATA_DIR"]).parent / "hub.log").open("ab") as log:
            self.supervisor = subprocess.Popen(
                (sys.executable, "manage.py", "runhub"), cwd=ROOT, env=self.environ, stdout=log, stderr=log
            )

    def manage(self, *words: str) -> str:
        """Run a command of the hub and return what it printed."""
        return run(self.environ, "manage.py", *words)


@contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def descendants(pid: int) -> list[tuple[int, str]]:
    """Every process below `pid` with its command line, from /proc."""
    parents: dict[int, list[int]] = {}
    lines: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            lines[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += [(child, lines.get(child, "")) for child in children]
        todo += children
    return found


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


NOBODY = "http://127.0.0.1:9/"


@cache
def _prepared(keys: Keys) -> LiveHub:
    """A hub that was never started, its database migrated and the city registered: the others are copies."""
    servers: dict[str, str] = {}
    if environment.PRODUCTION:
        url, name = services.database_url(), f"hub_empty_{os.getpid()}"
        migrated.create(name, migrated.database())
        atexit.register(migrated.drop, name)
        servers = {"HUB_DATABASE_URL": f"{url.rpartition('/')[0]}/{name}"}
    environ = _environ(environment.DIRECTORY / "prepared", servers)
    if not environment.PRODUCTION:
        data = Path(environ["HUB_DATA_DIR"])
        data.mkdir()
        shutil.copy(migrated.database(), data / "hub.sqlite3")
    return LiveHub(0, _furnish(environ, keys, NOBODY), environ)


def _environ(directory: Path, servers: dict[str, str], **extra: str) -> dict[str, str]:
    """What a hub under `directory` reads, with the tests' authority in its trust store."""
    (directory / "trust").mkdir(parents=True)
    shutil.copy(environment.DIRECTORY / "trust" / "root.cert.pem", directory / "trust" / "root.pem")
    own = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return (
        own
        | servers
        | {
            "HUB_DATA_DIR": str(directory / "hub"),
            "HUB_TRUST_DIR": str(directory / "trust"),
            "HUB_SECRET_KEY": settings.SECRET_KEY,
            "HUB_PUSH_NETWORKS": "127.0.0.0/8",
            "HUB_LEASE_SECONDS": "5",
            "HUB_PUSH_SECONDS": "4",
            "HUB_SWEEP_SECONDS": "1",
            **extra,
        }
    )


def _furnish(environ: dict[str, str], keys: Keys, callback_url: str) -> dict[str, tuple[str, str]]:
    """Make the hub's keys, register the city; its clients."""
    run(environ, "manage.py", "make_keys")
    certificates = {code: identity.der.hex() for code, identity in keys.identities.items()}
    city = Path(environ["HUB_TRUST_DIR"]).parent / "city.json"
    city.write_text(json.dumps({"callback_url": callback_url, "certificates": certificates}))
    clients = json.loads(run(environ, "-m", "tests.city", str(city)))
    return {name: tuple(pair) for name, pair in clients.items()}


@contextmanager
def _copied(prepared: LiveHub, directory: Path) -> Iterator[dict[str, str]]:
    """Data and database of the prepared hub once more, under `directory` and on PostgreSQL."""
    shutil.copytree(prepared.environ["HUB_DATA_DIR"], directory / "hub")
    if not environment.PRODUCTION:
        yield {}
        return
    stem, _, template = prepared.environ["HUB_DATABASE_URL"].rpartition("/")
    name = f"hub_{uuid4().hex[:12]}"
    migrated.create(name, template)
    try:
        yield {"HUB_DATABASE_URL": f"{stem}/{name}", "HUB_BROKER_URL": services.broker_url()}
    finally:
        migrated.drop(name)


@contextmanager
def running(directory: Path, keys: Keys, callback_url: str, **extra: str) -> Iterator[LiveHub]:
    """A hub of its own under `directory`, with the small city registered; stopped at the end."""
    port = free_port()
    extra = {"HUB_PORT": str(port), "HUB_BASE_URL": f"http://127.0.0.1:{port}", **extra}
    with ExitStack() as stack:
        if "HUB_DATABASE_URL" in extra:  # a server of the test's own
            environ = _environ(directory, {"HUB_BROKER_URL": services.broker_url()}, **extra)
            run(environ, "manage.py", "migrate", "--verbosity", "0", "--skip-checks")
            clients = _furnish(environ, keys, callback_url)
        else:
            prepared = _prepared(keys)
            servers = stack.enter_context(_copied(prepared, directory))
            environ, clients = _environ(directory, servers, **extra), dict(prepared.clients)
        hub = LiveHub(port, clients, environ)
        hub.tell(f"UPDATE agencies_system SET callback_url = '{callback_url}' WHERE callback_url <> ''")
        hub.start()
        try:
            until(lambda: hub.request("GET", "/healthz")[0] == 200, "the hub")
            yield hub
        finally:
            hub.supervisor.terminate()
            hub.supervisor.wait(30)


__all__ = ["ROOT", "LiveHub", "run", "running", "until", "world"]
