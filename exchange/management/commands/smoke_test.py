"""`manage.py smoke_test`: does the running hub answer, with this version, and is it ready?"""

import json
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from exchange.management.command import HubCommand


class Command(HubCommand):
    """Ask the web process of this machine."""

    help = "Wait until the hub answers with the version of this code and is ready to take packages."

    def add_arguments(self, parser: CommandParser) -> None:
        """--seconds."""
        parser.add_argument("--seconds", type=int, default=60, help="how long to wait")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError with the last answer when it does not come about in time."""
        deadline = time.monotonic() + options["seconds"]
        while (why := _why_not()) and time.monotonic() < deadline:
            time.sleep(1)
        if why:
            raise CommandError(f"Trục chưa sẵn sàng: {why} / The hub is not ready: {why}")
        self.stdout.write(f"{settings.VERSION}: sẵn sàng / ready")


def _why_not() -> str:
    """Empty when all is well."""
    try:
        _, alive = _get("/healthz")
        status, ready = _get("/readyz")
    except (OSError, HTTPException, ValueError) as error:
        return f"{settings.ENVIRONMENT.bind}:{settings.ENVIRONMENT.port}: {error}"
    if alive.get("version") != settings.VERSION:
        return f"version {alive.get('version')} answers, not {settings.VERSION}"
    return "" if status == 200 else f"{ready.get('parts')}"


def _get(path: str) -> tuple[int, dict[str, Any]]:
    environment = settings.ENVIRONMENT
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(environment.bind, environment.bind)  # noqa: S104
    connection = HTTPConnection(host, environment.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
