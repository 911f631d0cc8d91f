"""The web process: granian with the hub's application (`python -m exchange.management.web`)."""

import multiprocessing
import os
import resource
from importlib import import_module
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from exchange.environment import Environment
from exchange.management.child import die_with

_OTHERS = 1024  # connections at once besides those that wait


def load(target: str) -> Any:
    """The application, in a serving process (a child of granian's main one, which it must not outlive)."""
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        die_with(parent.pid)
    return import_module(target).application


def _allow_files(number: int) -> None:
    """Let this process and its children open so many files, if the system lets it: each waiter is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Serve until a signal, with the address, processes and threads of the environment."""
    environment = Environment.read(os.environ)
    connections = environment.max_waiters + _OTHERS
    _allow_files(2 * connections)
    server = Server(
        "exchange.rsgi",
        address=environment.bind,
        port=environment.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=environment.web_processes,
        backpressure=connections,
        loop=Loops.asyncio,
        workers_kill_timeout=15,
        log_level=LogLevels.error,
    )
    server.serve(target_loader=load)


if __name__ == "__main__":
    main()
