"""The web process: granian with the hub's WSGI application (`python -m exchange.management.web`)."""

import multiprocessing
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

from exchange.environment import Environment
from exchange.management.child import die_with


def load(target: str) -> Callable[..., Any]:
    """The application, in a serving process (a child of granian's main one, which it must not outlive)."""
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        die_with(parent.pid)
    application: Callable[..., Any] = import_module(target).application
    return application


def main() -> None:
    """Serve until a signal, with the address, processes and threads of the environment."""
    environment = Environment.read(os.environ)
    server = Server(
        "exchange.wsgi",
        address=environment.bind,
        port=environment.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=environment.web_processes,
        blocking_threads=environment.web_threads,
        workers_kill_timeout=15,
        log_level=LogLevels.error,
    )
    server.serve(target_loader=load)


if __name__ == "__main__":
    main()
