"""The database: reachable, new enough, in step with this code and this clock, its guards in place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from exchange.doctor.faults import Finding
from exchange.models import guards

LEAST_VERSION = 150_000
MOST_SKEW = timedelta(seconds=2)


def reachable() -> Iterator[Finding]:
    """Whether the database answers; nothing else can be asked when it does not."""
    try:
        _one("SELECT 1")
    except DatabaseError as error:
        yield Finding("database.down", str(error).strip().splitlines()[0])


def look() -> Iterator[Finding]:
    """What is wrong with a database that answers."""
    if connection.vendor == "postgresql":
        yield from _postgresql()
    if gone := guards.names() - _triggers():
        yield Finding("database.guards", ", ".join(sorted(gone)[:5]))
    yield from migrations()
    unknown = _ours(MigrationRecorder(connection).applied_migrations()) - _ours(_on_disk())
    if unknown:
        yield Finding("migrations.unknown", _named(unknown))


def migrations() -> Iterator[Finding]:
    """What this code expects and the database does not have."""
    missing = _on_disk() - set(MigrationRecorder(connection).applied_migrations())
    if missing:
        yield Finding("migrations.missing", _named(missing))


def _postgresql() -> Iterator[Finding]:
    number = int(_one("SHOW server_version_num"))
    if number < LEAST_VERSION:
        yield Finding("database.old", str(number))
    if (encoding := _one("SHOW server_encoding")) != "UTF8":
        yield Finding("database.encoding", encoding)
    before = datetime.now(UTC)
    theirs = _one("SELECT clock_timestamp()")
    skew = max(before - theirs, theirs - datetime.now(UTC))
    if skew > MOST_SKEW:
        yield Finding("database.clock", f"{skew.total_seconds():.1f} s")


def _triggers() -> set[str]:
    if connection.vendor == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {row[0] for row in cursor.fetchall()}


@cache
def _on_disk() -> frozenset[tuple[str, str]]:
    """Every migration that this version of the code has; read once, the files do not change."""
    return frozenset(MigrationLoader(None).graph.nodes)


def _ours(names: Any) -> set[tuple[str, str]]:
    return {(app, name) for app, name in names if app in ("exchange", "agencies")}


def _named(found: set[tuple[str, str]] | frozenset[tuple[str, str]]) -> str:
    return ", ".join(f"{app}.{name}" for app, name in sorted(found)[:5])


def _one(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]
