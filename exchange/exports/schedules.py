"""Exports made again and again: the period that has just ended, put into a folder or mailed."""

import shutil
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from smtplib import SMTPException

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.urls import reverse

from exchange.exports import jobs, readers
from exchange.exports.filters import PERIODS, Filter
from exchange.models import Every, Export, ExportSchedule
from exchange.refusals import Refused
from exchange.workdays import VIETNAM, day_of

HOUR = time(6, 0)  # in Vietnam
MAIL_BYTES = 5_000_000  # larger files are mailed as a link
_PERIOD: Mapping[str, str] = {Every.DAY: "yesterday", Every.WEEK: "last-week", Every.MONTH: "last-month"}

_logger = structlog.get_logger(__name__)


def create(
    kind: str, format: str, chosen: Filter, *, every: str, by_mail: bool, user: User, now: datetime
) -> ExportSchedule:
    """A schedule for `user`; the period of `chosen` does not count. Raises Refused as `jobs.ask`."""
    if by_mail and not (user.email and settings.ENVIRONMENT.email_url):
        raise Refused("request.invalid", why="tài khoản chưa có thư điện tử, hoặc trục chưa có máy chủ thư")
    if not by_mail and settings.ENVIRONMENT.export_folder is None:
        raise Refused("request.invalid", why="HUB_EXPORT_FOLDER chưa được đặt")
    readers.of_user(user, kind)
    return ExportSchedule.objects.create(
        kind=kind,
        format=format,
        query=Filter.of_query(chosen.query, day_of(now)).query,
        user=user,
        every=every,
        by_mail=by_mail,
        next_at=next_after(every, now),
        created_at=now,
    )


def next_after(every: str, now: datetime) -> datetime:
    """The next time at which `every` is due: six in the morning after the period has ended."""
    today = day_of(now)
    name = {Every.DAY: "today", Every.WEEK: "this-week", Every.MONTH: "this-month"}[Every(every)]
    begin, after = PERIODS[name](today)
    this = datetime.combine(begin, HOUR, tzinfo=VIETNAM)
    return this if this > now else datetime.combine(after, HOUR, tzinfo=VIETNAM)


def ask(now: datetime) -> int:
    """Ask for every export that is due; returns how many. One that is refused is logged and comes again
    when it is next due."""
    asked = 0
    for schedule in ExportSchedule.objects.filter(next_at__lte=now).select_related("user", "system")[:100]:
        moved = ExportSchedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at)
        if moved.update(next_at=next_after(schedule.every, now)):
            asked += _ask(schedule, now)
    return asked


def _ask(schedule: ExportSchedule, now: datetime) -> bool:
    try:
        chosen = of_period(schedule, day_of(now))
        jobs.ask(schedule.kind, schedule.format, chosen, now=now, user=schedule.user, schedule=schedule)
    except Refused as refused:
        _logger.warning("scheduled_export_refused", schedule=schedule.pk, code=refused.code)
        return False
    return True


def of_period(schedule: ExportSchedule, today: date) -> Filter:
    """The filter of `schedule` for the period that ended before `today`."""
    return Filter.of_query(schedule.query, today, period=_PERIOD[schedule.every])


def hand_out(export: Export) -> None:
    """Put a finished scheduled export where it is wanted. A mail that cannot be sent is logged; the file
    stays on the page of exports."""
    export.refresh_from_db()
    schedule = export.schedule
    if schedule is None:
        return
    if not schedule.by_mail:
        _put(export, settings.ENVIRONMENT.export_folder)
        return
    try:
        _mail(export)
    except (SMTPException, OSError) as error:
        _logger.error("export_not_mailed", export=str(export.pk), error=type(error).__name__)


def _put(export: Export, folder: Path | None) -> None:
    """Complete under its name or not at all."""
    if folder is None:
        _logger.error("export_folder_missing", export=str(export.pk))
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    final = folder / f"{export.schedule_id}-{export.file_name}"
    part = final.with_name(f".{final.name}.part")
    shutil.copyfile(jobs.path_of(export), part)
    part.rename(final)


def _mail(export: Export) -> None:
    address = export.user.email if export.user else ""
    page = settings.ENVIRONMENT.base_url.rstrip("/") + reverse(
        "admin:exchange_export_change", args=[export.pk]
    )
    body = f"{export.get_kind_display()}: {export.done} dòng.\nSHA-256: {export.sha256}\n{page}\n"
    mail = EmailMessage(subject=str(export), body=body, to=[address])
    if export.size is not None and export.size <= MAIL_BYTES:
        mail.attach(export.file_name, jobs.path_of(export).read_bytes(), "application/octet-stream")
    mail.send()
