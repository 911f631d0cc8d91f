"""`manage.py runhub`: every process of the hub under one supervisor."""

import shlex
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from exchange import metrics
from exchange.management import single
from exchange.management.command import HubCommand
from exchange.management.supervisor import Command as Child
from exchange.management.supervisor import Supervisor


class Command(HubCommand):
    """Start web, worker and scheduler, keep them running, stop them together."""

    help = "Run web, worker and scheduler under one supervisor until Ctrl-C. One hub per data directory."

    def add_arguments(self, parser: CommandParser) -> None:
        """--also NAME=COMMAND, repeatable."""
        parser.add_argument(
            "--also",
            action="append",
            default=[],
            metavar="NAME=COMMAND",
            help="one more process to keep running beside the hub's own",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal; CommandError when this hub runs already or its port is taken."""
        children = [*_own(), *(_parse(text) for text in options["also"])]
        with single.lock(settings.ENVIRONMENT.data_dir):
            metrics.forget(settings.ENVIRONMENT.metrics)
            single.check_port(settings.ENVIRONMENT.bind, settings.ENVIRONMENT.port)
            supervisor = Supervisor(children, cwd=settings.BASE_DIR)
            threading.Thread(target=_announce, args=(supervisor.say,), daemon=True).start()
            supervisor.run()


def _own() -> list[Child]:
    python, celery = sys.executable, (sys.executable, "-m", "celery", "-A")
    threads = ("--pool", "threads", "--concurrency", str(settings.ENVIRONMENT.worker_threads))
    worker = ("exchange.celery", "-q", "worker", *threads, "--without-mingle", "--without-gossip")
    quiet = ("--loglevel", "WARNING")
    counting = (
        [Child("metrics", (python, "manage.py", "serve_metrics"))]
        if settings.ENVIRONMENT.metrics_port
        else []
    )
    return [
        Child("web", (python, "-m", "exchange.management.web")),
        Child("worker", (*celery, *worker, *quiet)),
        # No pid file: the lock of the data directory is what keeps a second scheduler away.
        Child("scheduler", (*celery, "exchange.celery:scheduler", "-q", "beat", "--pidfile=", *quiet)),
        Child("sealer", (python, "manage.py", "seal_log")),
        *counting,
    ]


def _parse(text: str) -> Child:
    name, found, command = text.partition("=")
    words = tuple(shlex.split(command))
    if not found or not name or not words:
        raise CommandError(f"--also {text!r}: write NAME=COMMAND")
    return Child(name, words)


def _announce(say: Callable[[str, str], None]) -> None:
    """Say the address once the web process answers."""
    environment = settings.ENVIRONMENT
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(environment.bind, environment.bind)  # noqa: S104
    while not _answers(host, environment.port):
        time.sleep(0.1)
    say("hub", f"{environment.base_url}/ đã sẵn sàng / is ready")


def _answers(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
