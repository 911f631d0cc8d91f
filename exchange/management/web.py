"""The web process: granian with the hub's WSGI application (`python -m exchange.management.web`)."""

import multiprocessing
import os
from importlib import import_module

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

from exchange.environment import Environment
from exchange.management.arriving import Arriving
from exchange.management.child import die_with


def load(target: str) -> Arriving:
    """The application, in a serving process (a child of granian's main one, which it must not outlive)."""
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        die_with(parent.pid)
    environment = Environment.read(os.environ)
    return Arriving(
        import_module(target).application,
        places=environment.web_threads,
        limit=2 * environment.max_package_bytes,  # a packet of the national axis is larger than what is in it
        small=environment.isolate_bytes,
    )


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
        blocking_threads=2 * environment.web_threads,  # half of them may wait for bodies
        workers_kill_timeout=15,
        log_level=LogLevels.error,
    )
    server.serve(target_loader=load)


if __name__ == "__main__":
    main()
