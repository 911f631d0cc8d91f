"""What should be running: broker, web, a worker for each lane, the sealer; and whether the log holds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException

from django.conf import settings
from kombu.exceptions import OperationalError

from exchange import anchors, facts, mode, sealing
from exchange.audit import run as audit
from exchange.audit.rows import PATIENCE
from exchange.celery import WATCHED, app
from exchange.doctor.faults import Finding

SECONDS = 3
BACKUP_EVERY = timedelta(hours=26)  # a daily one, and time to make it


def broker() -> Iterator[Finding]:
    """Whether messages can be sent."""
    try:
        with app.connection_for_write(connect_timeout=SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=SECONDS)
    except (OperationalError, OSError) as error:
        yield Finding("broker.down", str(error))


def web() -> Iterator[Finding]:
    """Whether the web process of this machine answers on its port."""
    environment = settings.ENVIRONMENT
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(environment.bind, environment.bind)  # noqa: S104
    connection = HTTPConnection(host, environment.port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        status = connection.getresponse().status
        if status != 200:
            yield Finding("web.silent", f"{host}:{environment.port}: HTTP {status}")
    except (OSError, HTTPException) as error:
        yield Finding("web.silent", f"{host}:{environment.port}: {error}")
    finally:
        connection.close()


def workers() -> Iterator[Finding]:
    """The lanes in which no worker said that it is alive."""
    ages = facts.ages(datetime.now(UTC), "process.worker.")
    for lane in WATCHED:
        yield from _silent("worker.silent", lane, ages.get(f"process.worker.{lane}"))


def sealer() -> Iterator[Finding]:
    """Whether the sealer runs and keeps up."""
    now = datetime.now(UTC)
    yield from _silent("sealer.silent", "sealer", facts.ages(now).get("process.sealer"))
    yield from sealer_lag()


def sealer_lag() -> Iterator[Finding]:
    """Events that wait too long for the sealer."""
    oldest = sealing.oldest_pending()
    if oldest and datetime.now(UTC) - oldest > PATIENCE:
        yield Finding("sealer.lags", f"{oldest:%F %T}Z")


def operation() -> Iterator[Finding]:
    """The mode, and how old the last backup is."""
    if (standing := mode.standing()).mode is not mode.Mode.NORMAL:
        yield Finding("mode.on", str(standing.mode))
    backup = facts.found("backup")
    if not backup or datetime.now(UTC) - backup.at > BACKUP_EVERY:
        yield Finding("backup.old", f"{backup.at:%F %T}Z" if backup else "–")


def log() -> Iterator[Finding]:
    """What the newest checks of the log found, and who outside should have vouched for it by now."""
    for finding in audit.alarms()[:5]:
        yield Finding("log.findings", finding.text())
    try:
        late = list(anchors.late(datetime.now(UTC)))
    except (OSError, ValueError) as error:
        late = [str(error)]
    yield from (Finding("anchor.late", text) for text in late)


def _silent(code: str, name: str, age: timedelta | None) -> Iterator[Finding]:
    if age is None:
        yield Finding(code, f"{name}: –")
    elif age > facts.SILENT_AFTER:
        yield Finding(code, f"{name}: {age.total_seconds():.0f} s")
