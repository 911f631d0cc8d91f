"""`manage.py runhub` for real: what dies comes back, and nothing outlives the supervisor."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from exchange.management.supervisor import HEALTHY_SECONDS, Child, Command

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 90.0

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


class Hub:
    """A hub under `runhub` in a directory of its own; nothing in it needs tables."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.log = folder / "log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        environment |= {
            "HUB_DATA_DIR": str(folder / "data"),
            "HUB_PORT": str(port),
            "HUB_BASE_URL": f"http://127.0.0.1:{port}",
            "HUB_TRUST_DIR": str(folder),
            "HUB_SWEEP_SECONDS": "600",
        }
        (folder / "data").mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "manage.py", "runhub", "--also", "guest=sleep 600"),
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def answers(self) -> bool:
        """Whether the web process says that it lives."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def family(self) -> dict[int, str]:
        """Everything that the supervisor started, directly or not: pid and command line."""
        found: dict[int, str] = {}
        parents = {self.process.pid}
        while grown := {pid for pid, parent in _parents().items() if parent in parents and pid not in found}:
            found |= {pid: _command_line(pid) for pid in grown}
            parents |= grown
        return found

    def main_process(self, name: str) -> int:
        """The pid of the direct child whose command line has `name` in it, or 0."""
        parents = _parents()
        mine = [pid for pid, line in self.family().items() if name in line and "management.child" not in line]
        return next((pid for pid in mine if parents.get(pid) == self.process.pid), 0)

    def text(self) -> str:
        """What was printed so far."""
        return self.log.read_text(encoding="utf-8")


def _parents() -> dict[int, int]:
    """Every process and its parent; zombies are left out."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it ended while we looked
        if state != "Z":
            found[int(path.name)] = int(parent)
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _alive(pids: dict[int, str]) -> set[int]:
    return {pid for pid in pids.keys() & _parents().keys() if _command_line(pid) == pids[pid]}


def eventually(look: Callable[[], object], what: str) -> None:
    """Wait until `look` gives something true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub whose web process answers."""
    started = Hub(tmp_path, free_port())
    try:
        eventually(started.answers, "the web process answers")
        for name in ("management.web", "worker", "beat", "sleep 600"):
            eventually(lambda name=name: started.main_process(name), f"{name} runs")  # type: ignore[misc]
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def test_a_killed_web_process_comes_back_and_a_signal_stops_everything(hub: Hub) -> None:
    eventually(lambda: f"http://127.0.0.1:{hub.port}/ đã sẵn sàng" in hub.text(), "the address is printed")
    before = hub.family()
    web = hub.main_process("management.web")
    os.kill(web, signal.SIGKILL)
    eventually(lambda: hub.main_process("management.web") not in (0, web), "web is started again")
    eventually(hub.answers, "web answers again")
    assert "web       | killed by SIGKILL; starts again in 1 s" in hub.text()
    serving = {pid: line for pid, line in before.items() if "management.web" in line}
    assert not _alive(serving), "a process of the killed server still holds the port"

    family = hub.family()
    hub.process.send_signal(signal.SIGTERM)
    assert hub.process.wait(PATIENCE_SECONDS) == 0
    assert len(family) >= 4
    assert not _alive(family)


def test_nothing_outlives_a_killed_supervisor(hub: Hub) -> None:
    family = hub.family()
    hub.process.kill()
    hub.process.wait()
    eventually(lambda: not _alive(family), "all children are gone")


def test_a_second_hub_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "runhub.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = Hub(tmp_path, free_port())
        assert second.process.wait(PATIENCE_SECONDS) == 1
    [line] = second.text().splitlines()
    assert "A hub is already running on" in line


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = Hub(tmp_path, taken.getsockname()[1])
        assert refused.process.wait(PATIENCE_SECONDS) == 1
    [line] = refused.text().splitlines()
    assert "choose another HUB_PORT" in line


class Lines:
    """What a child said, and how to wait for more of it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, name: str, text: str) -> None:
        self.said.append(text)

    def tend_until_one_more(self, child: Child, now: float) -> str:
        """Tend `child` at the pretended time `now` until it says something."""
        count = len(self.said)

        def tended() -> bool:
            child.tend(now)
            return len(self.said) > count

        eventually(tended, "the child says something")
        return self.said[-1]


def test_the_delay_doubles_to_thirty_seconds_and_a_healthy_minute_resets_it() -> None:
    lines = Lines()
    child = Child(Command("x", ("false",)), lines, ROOT)
    now, waits = 0.0, []
    for _ in range(7):
        wait = float(lines.tend_until_one_more(child, now).split()[-2])
        waits.append(wait)
        now += wait
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    child.tend(now)  # started, and found dead only a healthy minute later
    assert lines.tend_until_one_more(child, now + HEALTHY_SECONDS).endswith("starts again in 1 s")


def test_a_command_that_does_not_exist_is_named() -> None:
    lines = Lines()
    child = Child(Command("x", ("no-such-command",)), lines, ROOT)
    child.tend(0.0)
    eventually(lambda: "no-such-command: No such file or directory" in lines.said, "the failure is said")
    child.join(time.monotonic() + PATIENCE_SECONDS)
