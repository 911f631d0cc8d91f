"""Check the log of this database from the stored bytes: nothing that is kept twice is believed once.

Every check has a name and a text in report.CHECKS. A full check reads everything; an incremental one goes
on from the signed head that the last one reached, and is run by the hub itself every minute.
"""

from dataclasses import asdict
from datetime import datetime

import structlog

from exchange.audit import logs, rows
from exchange.audit.report import Finding, Result
from exchange.models import Log, LogCheck

MOST = 100  # findings of one check that are kept

_logger = structlog.get_logger(__name__)


def check(now: datetime, *, full: bool, with_receipts: bool = True) -> LogCheck:
    """Check everything, or what was added since the last check that held; the result is stored."""
    last = None if full else LogCheck.objects.filter(held=True).first()
    result = Result()
    reached = logs.check(result, last)
    since = rows.oldest_since(last)
    rows.waiting(result, now)
    rows.lost(result, since)
    rows.states(result, since)
    if with_receipts:
        rows.receipts_stored(result, since)
    return _store(result, now, full, reached)


def alarms() -> list[Finding]:
    """What the newest check of each kind found."""
    newest = [LogCheck.objects.filter(full=full).first() for full in (True, False)]
    found = [Finding(**item) for row in newest if row for item in row.findings]
    return list(dict.fromkeys(found))


def _store(result: Result, now: datetime, full: bool, reached: tuple[Log, int] | None) -> LogCheck:
    """One row for each kind of check that held; rows with findings stay."""
    found = [asdict(finding) for finding in result.findings[:MOST]]
    for finding in result.findings[:MOST]:
        _logger.error("log_check_failed", check=finding.check, where=finding.where, detail=finding.detail)
    before = LogCheck.objects.filter(full=full)
    same = before.first()
    if same and same.findings == found:
        before.filter(pk=same.pk).delete()
    before.filter(held=True).delete()
    log, size = reached or (None, 0)
    return LogCheck.objects.create(
        at=now, full=full, held=not found, log=log, size=size, events=result.events, findings=found
    )
