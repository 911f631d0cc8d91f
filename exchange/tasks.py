"""Celery entry points: a message means "there is work in this lane", not "send this one"."""

from datetime import UTC, datetime
from uuid import UUID

from exchange import (
    anchors,
    clocks,
    delivery,
    facts,
    feed,
    housekeeping,
    leaps,
    mode,
    notices,
    pdfreports,
    pushing,
    registry,
    retention,
    revocation,
    statistics,
    uplink,
    wake,
)
from exchange.audit import run as audit
from exchange.celery import app
from exchange.exports import jobs, schedules


@app.task(name="exchange.tasks.deliver")
def deliver(lane: int) -> None:
    """Push everything due in one lane; an endpoint that answered 410 is paused."""
    for system in pushing.push_lane(lane):
        registry.pause_gone(system, now=datetime.now(UTC))


@app.task(name="exchange.tasks.send_notices")
def send_notices() -> None:
    """Tell systems that something is in their inboxes; one whose endpoint answered 410 is paused."""
    if mode.moving():
        for system in notices.send():
            registry.pause_gone(system, now=datetime.now(UTC))


@app.task(name="exchange.tasks.sweep")
def sweep() -> None:
    """Expire what is late, wake the lanes in which something was forgotten, bring feed and counters up."""
    now = datetime.now(UTC)
    even = leaps.look(now)
    if not mode.moving():
        return
    if even:
        delivery.expire(now)
    wake.lanes_now(pushing.due_lanes(now))
    if notices.are_due(now):
        wake.notices_now()
    feed.publish()
    statistics.fold()


@app.task(name="exchange.tasks.collect_from_above")
def collect_from_above() -> None:
    """Fetch what waits at the hubs above."""
    if mode.standing().mode is mode.Mode.NORMAL:  # what is fetched wants to be taken
        uplink.collect_all()


@app.task(name="exchange.tasks.read_directories_above")
def read_directories_above() -> None:
    """Learn which agencies can be reached through the hubs above."""
    uplink.read_directories()


@app.task(name="exchange.tasks.look_at_clocks")
def look_at_clocks() -> None:
    """Remind recipients that have not confirmed in time, warn senders of what expires soon."""
    now = datetime.now(UTC)
    if not (leaps.look(now) and mode.moving()):
        return
    clocks.remind(now)
    clocks.warn(now)


@app.task(name="exchange.tasks.check_log")
def check_log() -> None:
    """Check what entered the log since the last check; findings are stored, logged and shown."""
    audit.check(datetime.now(UTC), full=False)


@app.task(name="exchange.tasks.beat")
def beat(lane: str) -> None:
    """Say that this lane is served: the scheduler, the broker, a worker and the database do their part."""
    facts.beat(f"process.worker.{lane}")


@app.task(name="exchange.tasks.refresh_revocation")
def refresh_revocation() -> None:
    """Ask the authorities what they revoked, where that was not done lately."""
    revocation.refresh(datetime.now(UTC))


@app.task(name="exchange.tasks.apply_retention")
def apply_retention() -> None:
    """Remove what the rules of the settings no longer keep."""
    if leaps.look(now := datetime.now(UTC)):
        retention.apply_rules(now)


@app.task(name="exchange.tasks.export")
def export(key: str) -> None:
    """Make one export; one that a schedule asked for is handed out."""
    made = jobs.run(UUID(key))
    if made is not None:
        schedules.hand_out(made)


@app.task(name="exchange.tasks.look_after_exports")
def look_after_exports() -> None:
    """Ask for what schedules want, take up what a dead worker left, drop what was kept long enough."""
    now = datetime.now(UTC)
    schedules.ask(now)
    wake.for_exports(jobs.due(now))
    jobs.purge(now)


@app.task(name="exchange.tasks.report_pdf_signatures")
def report_pdf_signatures() -> None:
    """Report on the signatures of PDF attachments, a few packages at a time."""
    for _ in range(pdfreports.AT_ONCE):
        if not pdfreports.make_next(datetime.now(UTC)):
            return


@app.task(name="exchange.tasks.tidy")
def tidy() -> None:
    """Remove what is kept for a time only, once a day."""
    if leaps.look(now := datetime.now(UTC)):
        housekeeping.tidy(now)


@app.task(name="exchange.tasks.anchor_log")
def anchor_log() -> None:
    """Have the log's head vouched for by those outside that the settings name."""
    anchors.anchor(datetime.now(UTC))
