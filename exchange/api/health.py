"""Is the process alive, and can the hub do its work? Names of parts and ok/failed, nothing else: public."""

import tempfile
from collections.abc import Callable, Mapping
from functools import cache

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from exchange import sealing
from exchange.audit import run as audit
from exchange.audit.rows import PATIENCE

_logger = structlog.get_logger(__name__)


class Failed(Exception):
    """A part of the hub does not work, and why (for the log)."""


def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return _uncached({"status": "ok"}, 200)


def ready(request: HttpRequest) -> JsonResponse:
    """Every part the hub needs to take a package: 200, or 503 when one has failed.

    What is only watched does not keep packages out: then the status is `degraded`.
    """
    parts = {name: _state(name, check) for name, check in PARTS.items()}
    watched = {name: _state(name, check) for name, check in WATCHED.items()}
    healthy = set(parts.values()) == {"ok"}
    word = "failed" if not healthy else "ok" if set(watched.values()) == {"ok"} else "degraded"
    return _uncached({"status": word, "parts": parts | watched}, 200 if healthy else 503)


def _state(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except (DatabaseError, OSError, Failed) as error:
        _logger.error("not_ready", part=name, error=str(error))
        return "failed"
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _migrations() -> None:
    missing = _on_disk() - set(MigrationRecorder(connection).applied_migrations())
    if missing:
        raise Failed(f"not applied: {sorted(missing)}")


@cache
def _on_disk() -> frozenset[tuple[str, str]]:
    """Every migration that this version of the code has; read once, the files do not change."""
    return frozenset(MigrationLoader(None).graph.nodes)


def _vault() -> None:
    settings.ENVIRONMENT.vault.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tempfile.TemporaryFile(dir=settings.ENVIRONMENT.vault) as file:
        file.write(b"ready")
        file.flush()


PARTS: Mapping[str, Callable[[], None]] = {
    "database": _database,
    "migrations": _migrations,
    "vault": _vault,
}


def _sealer() -> None:
    oldest = sealing.oldest_pending()
    if oldest and timezone.now() - oldest > PATIENCE:
        raise Failed(f"an event waits for the sealer since {oldest.isoformat()}")


def _log() -> None:
    if found := audit.alarms():
        raise Failed("; ".join(finding.text() for finding in found[:5]))


WATCHED: Mapping[str, Callable[[], None]] = {"sealer": _sealer, "log": _log}


def _uncached(body: Mapping[str, object], status: int) -> JsonResponse:
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return response
