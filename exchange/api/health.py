"""Is the process alive, and can the hub do its work? Names of parts and ok/failed; details for operators."""

from collections.abc import Callable, Iterator, Mapping

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from exchange.doctor import database, machine, processes
from exchange.doctor.faults import Finding

_logger = structlog.get_logger(__name__)
Look = Callable[[], Iterator[Finding]]

PARTS: Mapping[str, Look] = {
    "database": database.reachable,
    "migrations": database.migrations,
    "vault": machine.vault,
}
"""What the hub needs to take a package."""
WATCHED: Mapping[str, Look] = {
    "broker": processes.broker,
    "workers": processes.workers,
    "sealer": processes.sealer,
    "log": processes.log,
}
"""What it needs to do everything else: a failure here keeps no package out."""


def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return _uncached({"status": "ok", "version": settings.VERSION}, 200)


def ready(request: HttpRequest) -> JsonResponse:
    """Every part the hub needs to take a package: 200, or 503 when one has failed.

    What is only watched does not keep packages out: then the status is `degraded`.
    """
    found = {name: _look(name, look) for name, look in {**PARTS, **WATCHED}.items()}
    parts = {name: "failed" if findings else "ok" for name, findings in found.items()}
    failed = any(found[name] for name in PARTS)
    word = "failed" if failed else "degraded" if any(found.values()) else "ok"
    body: dict[str, object] = {"status": word, "version": settings.VERSION, "parts": parts}
    if not found["database"] and request.user.has_perm("exchange.watch_deliveries"):
        body["detail"] = {name: findings for name, findings in found.items() if findings}
    return _uncached(body, 503 if failed else 200)


def _look(name: str, look: Look) -> list[str]:
    try:
        found = [f"{item.code}: {item.seen}" for item in look()]
    except DatabaseError as error:  # a part that asks the database fails with it
        found = [f"database.down: {error}"]
    if found:
        _logger.error("not_ready", part=name, found=found)
    return found


def _uncached(body: Mapping[str, object], status: int) -> JsonResponse:
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return response
