"""What every bench needs: a hub of its own with the city and a crowd, a fast receiver, signed documents."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.envelope import package as envelope
from fixtures.pki import Authority
from tests import environment, live, world
from tests.bench import crowd
from tests.live import LiveHub
from tests.world import NOW, Keys, World

# SQLite has one writer: a second web process would only wait for it.
PROCESSES, THREADS = (2, 2) if environment.PRODUCTION else (1, 4)
RECEIVER_MS = 10


@dataclass(slots=True)
class Stage:
    """A running hub, documents to send to it, and where they arrive."""

    hub: LiveHub
    city: World
    directory: Path
    receiver: int
    receiver_pid: int
    tokens: dict[str, str]

    @property
    def url(self) -> str:
        """The hub's address."""
        return f"http://127.0.0.1:{self.hub.port}"

    def headers(self, system: str) -> dict[str, str]:
        """Those of a package from `system`."""
        return {"Authorization": f"Bearer {self.tokens[system]}", "Content-Type": "application/edxml+xml"}

    def documents(self, number: int, size: int, *recipients: str) -> list[bytes]:
        """So many signed documents of about `size` bytes, each with a number and content of its own."""
        raw = secrets.token_bytes(size * 3 // 4 - 2_000)
        return [
            self.city.document("H29", *recipients, attachments=[envelope.attach("a.dat", raw[index % 97 :])])
            for index in range(number)
        ]

    def arrived(self) -> dict[str, float]:
        """When each package arrived at the receiver since the last question (seconds since 1970)."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.receiver}/arrived") as answer:
            times: dict[str, float] = json.load(answer)
        return times

    def pss(self) -> dict[int, int]:
        """The proportional memory of each process of the hub, in bytes."""
        found = {}
        for pid in (self.hub.supervisor.pid, *dict(live.descendants(self.hub.supervisor.pid))):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            found[pid] = int(text.partition("\nPss:")[2].split()[0]) * 1024
        return found

    def process(self, *words: str) -> "subprocess.Popen[bytes]":
        """A Python program in the hub's environment."""
        return subprocess.Popen((sys.executable, *words), cwd=live.ROOT, env=self.hub.environ)


def make_keys() -> Keys:
    """RSA-2048 for every agency, and their authority in the trust store: what the field signs with."""
    life: Any = {"not_before": NOW.replace(year=2025), "not_after": NOW.replace(year=2045)}
    authority = Authority.create("Bench Root CA", key="ec", **life)
    authority.save(environment.DIRECTORY / "trust", "root")
    codes = (*world.AGENCIES, crowd.PULLED, crowd.PUSHED)
    return Keys(authority, {code: authority.issue(code, key="rsa", **life) for code in codes})


@contextmanager
def running(**extra: str) -> Iterator[Stage]:
    """A hub with everything around it, on the engine of this run; all of it ends with the block."""
    keys = make_keys()
    mine = Keys(keys.authority, {code: keys.identities[code] for code in world.AGENCIES})
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        receiver = live.free_port()
        program = (sys.executable, "-m", "tests.bench.receiver", str(receiver), str(RECEIVER_MS))
        receiving = subprocess.Popen(program, cwd=live.ROOT)
        stack.callback(receiving.terminate)
        callback = f"http://127.0.0.1:{receiver}/edxml"
        web = {"HUB_WEB_PROCESSES": str(PROCESSES), "HUB_WEB_THREADS": str(THREADS)}
        # Those of a hub as it comes: with the short ones of the tests, rows wait for the end of a lease.
        web |= {"HUB_LEASE_SECONDS": "60", "HUB_PUSH_SECONDS": "30"}
        web["HUB_REQUESTS_PER_MINUTE"] = "0"  # one system sends for all of them
        hub = stack.enter_context(live.running(directory, mine, callback, **web, **extra))
        crowded = json.loads(live.run(hub.environ, "-m", "tests.bench.crowd", callback))
        hub.clients |= {name: tuple(pair) for name, pair in crowded.items()}
        tokens = {name: hub.token(name) for name in ("office", "puller", "crowd")}
        yield Stage(hub, World(keys), directory, receiver, receiving.pid, tokens)


def cpu(pids: Iterable[int]) -> float:
    """Processor seconds of these processes so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def connect(hub: LiveHub) -> None:
    """Let Django in this process use the hub's own database."""
    from django.conf import settings
    from django.db import connections

    from exchange.environment import Environment

    given = {name: value for name, value in hub.environ.items() if name.startswith("HUB_")}
    os.environ.update(given)
    settings.ENVIRONMENT = Environment.read(hub.environ)
    from exchange.settings import _database

    connections["default"].close()
    connections["default"].settings_dict.update(_database(settings.ENVIRONMENT))
