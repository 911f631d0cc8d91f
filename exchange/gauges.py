"""The state of the hub as Prometheus metrics, read when Prometheus asks. What happens is in `metrics.py`."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agencies import authorities
from agencies.directory import Certificate
from agencies.models import RevocationList
from exchange import anchors, facts, housekeeping, keys, mode, sealing
from exchange.audit import run as audit
from exchange.models import Delivery, Lane, Log, Pending

WORST = 5  # systems whose queues are shown one by one
LARGEST = 10  # tables whose sizes are

GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "hub_info": ("The version of the hub and its database", ("version", "database")),
        "hub_database_up": ("1 when the database answers", ()),
        "hub_disk_free_ratio": ("Free part of the disk under a directory of the hub", ("place",)),
        "hub_queue_depth": ("Deliveries not handed over yet", ("lane", "way")),
        "hub_queue_oldest_seconds": ("Age of the oldest of them", ("lane", "way")),
        "hub_system_queue_depth": ("Deliveries waiting for the systems that wait longest", ("system",)),
        "hub_system_queue_oldest_seconds": ("Age of the oldest of them", ("system",)),
        "hub_heartbeat_age_seconds": ("Time since a process said that it is alive", ("process",)),
        "hub_seal_pending": ("Events that are not in the log yet", ()),
        "hub_seal_lag_seconds": ("Age of the oldest of them; 0 when there is none", ()),
        "hub_log_events": ("Events in the log that is being written", ()),
        "hub_log_findings": ("What the newest checks of the log found", ()),
        "hub_anchors_late": ("Parties that should have vouched for the log by now and have not", ()),
        "hub_backup_age_seconds": ("Time since the last backup", ()),
        "hub_mode": ("1 for the mode in force: normal, maintenance or read-only", ("mode",)),
        "hub_vault_bytes": ("Bytes of all packages, as of the last housekeeping", ()),
        "hub_table_bytes": ("Size of a table with its indexes; on SQLite of the database", ("table",)),
        "hub_certificate_days": ("Days until the first certificate of a kind expires", ("kind",)),
        "hub_crl_overdue_seconds": ("Time since the next revocation list was due; 0 in time", ("issuer",)),
    }
)

_logger = structlog.get_logger(__name__)
Reading = Iterator[tuple[str, tuple[str, ...], float]]


class Gauges(Collector):
    """Asks the database, the disk and the keys; a database that is down is itself a number."""

    def collect(self) -> Iterator[Metric]:
        """Every gauge, or without a database `hub_database_up 0` and what needs none."""
        now = datetime.now(UTC)
        families = {
            name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()
        }
        try:
            for read in READERS:
                for name, labels, number in read(now):
                    families[name].add_metric(labels, number)
        except DatabaseError as error:
            _logger.error("metrics_without_database", error=str(error))
            families["hub_database_up"].add_metric((), 0)
        finally:
            connection.close()  # each scrape has a thread of its own, and with it its own connection
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        """The names alone: registering asks nothing."""
        return (GaugeMetricFamily(name, text) for name, (text, _) in GAUGES.items())


def places() -> Mapping[str, Path]:
    """The directories whose disk must not run full, as far as they exist."""
    environment = settings.ENVIRONMENT
    named = {"data": environment.data_dir, "vault": environment.vault, "keys": environment.keys}
    return {name: path for name, path in named.items() if path.is_dir()}


def _installation(now: datetime) -> Reading:
    yield "hub_info", (settings.VERSION, connection.vendor), 1
    for place, path in places().items():
        usage = shutil.disk_usage(path)
        yield "hub_disk_free_ratio", (place,), usage.free / usage.total


def _database(now: datetime) -> Reading:
    connection.ensure_connection()
    yield "hub_database_up", (), 1


def _queue(now: datetime) -> Reading:
    queued = Delivery.objects.queued().order_by()
    waiting: dict[str, Any] = {"number": Count("id"), "oldest": Min("queued_at")}
    for row in queued.values("lane", "push").annotate(**waiting):
        labels = (Lane(row["lane"]).name.lower(), "push" if row["push"] else "pull")
        yield "hub_queue_depth", labels, row["number"]
        yield "hub_queue_oldest_seconds", labels, (now - row["oldest"]).total_seconds()
    for row in queued.values("system__name").annotate(**waiting).order_by("oldest")[:WORST]:
        yield "hub_system_queue_depth", (row["system__name"],), row["number"]
        yield "hub_system_queue_oldest_seconds", (row["system__name"],), (now - row["oldest"]).total_seconds()


def _processes(now: datetime) -> Reading:
    for name, age in facts.ages(now, "process.").items():
        yield "hub_heartbeat_age_seconds", (name.removeprefix("process."),), age.total_seconds()


def _operation(now: datetime) -> Reading:
    if backup := facts.found("backup"):
        yield "hub_backup_age_seconds", (), (now - backup.at).total_seconds()
    for word in mode.Mode:
        yield "hub_mode", (str(word),), float(mode.standing().mode is word)
    if tidied := facts.found(housekeeping.FACT):
        yield "hub_vault_bytes", (), tidied.value["vault_bytes"]
    for table, size in list(housekeeping.sizes().items())[:LARGEST]:
        yield "hub_table_bytes", (table,), size


def _log(now: datetime) -> Reading:
    oldest, current = sealing.oldest_pending(), Log.objects.current()
    yield "hub_seal_pending", (), Pending.objects.count()
    yield "hub_seal_lag_seconds", (), max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    yield "hub_log_events", (), current.size if current else 0
    yield "hub_log_findings", (), len(audit.alarms())
    yield "hub_anchors_late", (), sum(1 for _ in anchors.late(now))


def _certificates(now: datetime) -> Reading:
    for kind, until in expiries(now).items():
        yield "hub_certificate_days", (kind,), (until - now).total_seconds() / 86400
    for row in RevocationList.objects.defer("der"):
        if row.next_update:
            yield "hub_crl_overdue_seconds", (row.issuer,), max(0.0, (now - row.next_update).total_seconds())


def expiries(now: datetime) -> dict[str, datetime]:
    """When the first certificate of each kind expires: of the seal, the trusted authorities, the agencies.

    An agency's certificate that has expired already was seen to, or its agency does not sign.
    """
    living = Certificate.objects.filter(revoked_at=None, not_after__gt=now)
    found = {"agency": list(living.order_by("not_after").values_list("not_after", flat=True)[:1])}
    with suppress(*keys.FAILURES):  # the doctor's business; here they have no number
        found["seal"] = [keys.seal(now).certificates[0].not_valid_after_utc]
    with suppress(ValueError):
        store = authorities.trust_store(settings.ENVIRONMENT.trust_dir)
        found["authority"] = [item.not_valid_after_utc for item in (*store.roots, *store.intermediates)]
    return {kind: min(times) for kind, times in found.items() if times}


READERS: tuple[Callable[[datetime], Reading], ...] = (
    _installation, _database, _queue, _processes, _operation, _log, _certificates,
)  # fmt: skip
