"""Keep a few child processes running: start them, pass their lines on, restart what dies, stop together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 20.0
TICK = 0.2

Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and the name under which its lines are shown."""

    name: str
    words: tuple[str, ...]


class Child:
    """One command, started again after a growing delay whenever it ends. Times are monotonic seconds."""

    def __init__(self, command: Command, say: Say, cwd: Path) -> None:
        self.command = command
        self._say = say
        self._cwd = cwd
        self._process: subprocess.Popen[str] | None = None
        self._started = 0.0
        self._next_start = 0.0
        self._delay = FIRST_DELAY

    def tend(self, now: float) -> None:
        """Start the command if it is not running and its time has come."""
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process, now)
        if self._process is None and now >= self._next_start:
            self._start(now)

    def terminate(self) -> None:
        """Ask the process to stop."""
        if self._process is not None:
            self._process.terminate()

    def join(self, deadline: float) -> None:
        """Wait for the end until `deadline`, then kill whatever is left of the command and its children."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._say(self.command.name, "did not stop in time and is killed")
        _kill_group(self._process)
        self._process.wait()

    def _start(self, now: float) -> None:
        self._started = now
        self._process = subprocess.Popen(
            (sys.executable, "-m", "exchange.management.child", str(os.getpid()), *self.command.words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            cwd=self._cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # A group of its own: Ctrl-C reaches the supervisor only, which stops all in order.
            start_new_session=True,
        )
        if self._process.stdout is not None:
            threading.Thread(target=self._copy_lines, args=(self._process.stdout,), daemon=True).start()

    def _ended(self, process: "subprocess.Popen[str]", now: float) -> None:
        _kill_group(process)
        self._process = None
        if now - self._started >= HEALTHY_SECONDS:
            self._delay = FIRST_DELAY
        self._say(self.command.name, f"{_how(process.returncode)}; starts again in {self._delay:.0f} s")
        self._next_start = now + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    def _copy_lines(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._say(self.command.name, line.rstrip())


class Supervisor:
    """Runs commands until SIGINT or SIGTERM; lines go to standard output, prefixed by the command's name."""

    def __init__(self, commands: Sequence[Command], *, cwd: Path) -> None:
        self._width = max(len(command.name) for command in commands)
        self._children = [Child(command, self.say, cwd) for command in commands]
        self._lock = threading.Lock()
        self._stopping = False

    def run(self) -> None:
        """Keep everything running until a signal, then stop everything. For the main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        while not self._stopping:
            for child in self._children:
                child.tend(time.monotonic())
            time.sleep(TICK)
        self._stop()

    def say(self, name: str, text: str) -> None:
        """Print one line of `name`; reading threads call it too. Where nobody reads any more, stop."""
        try:
            with self._lock:
                sys.stdout.write(f"{name:<{self._width}} | {text}\n")
                sys.stdout.flush()
        except BrokenPipeError:
            self._stopping = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.join(deadline)


def _kill_group(process: "subprocess.Popen[str]") -> None:
    """What the command started itself must not survive it: it would hold the port."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
