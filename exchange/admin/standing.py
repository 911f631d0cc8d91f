"""Where one delivery stands, in one of seven phases, and why: what a clerk asks first.

A phase joins what the hub knows of the bytes (state), what the recipient said (answer) and the clock, in the
order of how much it needs somebody. The same rule stands here twice: for one row, and as SQL for counting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import (
    Case,
    CharField,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextChoices,
    Value,
    When,
)
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from exchange.admin.looks import until
from exchange.models import Answer, Attempt, Delivery, Event, Kind, Outcome, State
from exchange.models.delivery import ENDED, FAILED, REFUSED

ACCEPTED = (Answer.ACCEPTED, Answer.ASSIGNED, Answer.IN_WORK, Answer.DONE)
# Events whose free text says why somebody said no.
_SAYS_NO = ("ConsignmentRejection", "RecallRefused", "ChangeRefused")


class Phase(TextChoices):
    """From what needs somebody most to what needs nobody."""

    FAILED = "failed", gettext_lazy("Lỗi chuyển")
    REFUSED = "refused", gettext_lazy("Từ chối tiếp nhận")
    LATE = "late", gettext_lazy("Quá hạn tiếp nhận")
    WAITING = "waiting", gettext_lazy("Chờ gửi")
    HANDED_OVER = "handed_over", gettext_lazy("Đã giao, chờ tiếp nhận")
    ACCEPTED = "accepted", gettext_lazy("Đã tiếp nhận")
    ENDED = "ended", gettext_lazy("Đã thu hồi, thay thế")


ICONS: Mapping[Phase, str] = {
    Phase.FAILED: "error",
    Phase.REFUSED: "block",
    Phase.LATE: "alarm",
    Phase.WAITING: "schedule",
    Phase.HANDED_OVER: "inbox",
    Phase.ACCEPTED: "check_circle",
    Phase.ENDED: "undo",
}


def phase_sql(now: datetime) -> Case:
    """The phase of a row as a column; statuses, which nobody accepts, are at most handed over."""
    late = Q(receipt_due_at__lt=now, first_answered_at__isnull=True)
    rules = (
        (FAILED, Phase.FAILED),
        (ENDED, Phase.ENDED),
        (REFUSED, Phase.REFUSED),
        (Q(answer__in=ACCEPTED), Phase.ACCEPTED),
        (late, Phase.LATE),
        (Q(state=State.QUEUED), Phase.WAITING),
    )
    whens = [When(rule, then=Value(phase.value)) for rule, phase in rules]
    return Case(*whens, default=Value(Phase.HANDED_OVER.value), output_field=CharField())


_TROUBLE_FIRST = Case(
    *(When(phase=phase.value, then=Value(place)) for place, phase in enumerate(Phase)),
    output_field=IntegerField(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One delivery as a row of a page: its phase, the words for it, why, and when something happens next."""

    delivery: Delivery
    phase: Phase
    words: str
    why: str = ""
    next_at: datetime | None = None

    @property
    def icon(self) -> str:
        """The name of its symbol."""
        return ICONS[self.phase]


def with_phase(deliveries: QuerySet[Delivery], now: datetime) -> QuerySet[Delivery]:
    """`deliveries` with their phase, the last attempt, and what the words need; trouble first."""
    last = Attempt.objects.filter(delivery=OuterRef("pk")).order_by("-number")
    return (
        deliveries.select_related("recipient", "system", "package__sender")
        .annotate(
            phase=phase_sql(now),
            last_outcome=Subquery(last.values("outcome")[:1]),
            last_http=Subquery(last.values("http_status")[:1]),
            last_at=Subquery(last.values("finished_at")[:1]),
        )
        .order_by(_TROUBLE_FIRST, "recipient__name", "id")
    )


def standings(rows: Sequence[Delivery], now: datetime) -> list[Standing]:
    """How each of `rows` (from `with_phase`) stands; one query more, for the words of those who said no."""
    said = _said([row.pk for row in rows])
    return [_standing(row, said.get(row.pk, ""), now) for row in rows]


def _said(ids: Sequence[UUID]) -> dict[UUID, str]:
    told = (
        Event.objects.filter(stream__in=ids, name__in=_SAYS_NO)
        .order_by("id")
        .values_list("stream", "text__text")
    )
    return {stream: text for stream, text in told if text}


def _standing(row: Delivery, said: str, now: datetime) -> Standing:
    phase = Phase(vars(row)["phase"])
    why = _WHY[phase](row, said, now)
    next_at = row.due_at if row.state == State.QUEUED and row.push and row.due_at > now else None
    return Standing(delivery=row, phase=phase, words=_words(row, phase), why=why, next_at=next_at)


def _words(row: Delivery, phase: Phase) -> str:
    if phase in (Phase.FAILED, Phase.ENDED):
        return row.get_state_display()
    if phase == Phase.WAITING:
        return _("Đang gửi") if row.attempts or row.begun else _("Chờ gửi")
    if phase == Phase.ACCEPTED:
        return f"{row.get_answer_display()} ({row.answer})"
    if phase == Phase.HANDED_OVER and row.answer == Answer.ARRIVED:
        return _("Đã đến (01), chờ tiếp nhận")
    if phase == Phase.HANDED_OVER and row.package.kind == Kind.STATUS:
        return _("Đã giao")
    return str(phase.label)


# --- why ------------------------------------------------------------------------------------------------


def _failed(row: Delivery, said: str, now: datetime) -> str:
    if row.state == State.UNDELIVERABLE and row.held:
        return _("Nơi nhận không nhận văn bản có chữ ký PDF bị hỏng; cần ký lại tệp và gửi văn bản mới.")
    if row.state == State.UNDELIVERABLE:
        return _("Đã gửi %(count)s lần đều không được. %(last)s") % {
            "count": row.attempts,
            "last": _last(row),
        }
    if row.push:
        return _("Hết thời hạn giao mà chưa gửi được. %(last)s") % {"last": _last(row)}
    return _("Hết thời hạn giao mà hệ thống “%(system)s” không đến lấy văn bản.") % {
        "system": row.system.name
    }


def _refused(row: Delivery, said: str, now: datetime) -> str:
    return _("Lý do: “%(words)s”") % {"words": said} if said else _("Nơi nhận không nêu lý do.")


def _late(row: Delivery, said: str, now: datetime) -> str:
    held = _waiting(row, said, now) if row.state == State.QUEUED else _("Hệ thống nơi nhận đã lấy văn bản.")
    due = row.receipt_due_at or now
    return _("Đã trễ hạn xác nhận %(time)s. %(held)s") % {"time": until(now - due), "held": held}


def _waiting(row: Delivery, said: str, now: datetime) -> str:
    if row.awaits_report:
        return _("Chờ trục kiểm tra chữ ký trong tệp PDF, theo yêu cầu của nơi nhận.")
    if row.system.suspended_at or (row.push and row.system.paused_at):
        return _("Hệ thống “%(system)s” của nơi nhận đang tạm dừng.") % {"system": row.system.name}
    if row.push:
        return _last(row) or _("Trục đang đẩy tới hệ thống của nơi nhận.")
    seen = row.system.last_seen_at
    if seen is None:
        return _("Hệ thống “%(system)s” chưa kết nối lần nào.") % {"system": row.system.name}
    ago = until(now - seen)
    return _("Chờ hệ thống “%(system)s” đến lấy; liên lạc gần nhất %(ago)s trước.") % {
        "system": row.system.name,
        "ago": ago,
    }


def _handed_over(row: Delivery, said: str, now: datetime) -> str:
    if row.package.kind == Kind.STATUS or row.receipt_due_at is None:
        return ""
    if row.receipt_due_at < now:
        return _("Hệ thống đã lấy văn bản, chưa có người tiếp nhận.")
    return _("Hệ thống đã lấy văn bản; còn %(time)s để xác nhận.") % {"time": until(row.receipt_due_at - now)}


def _nothing(row: Delivery, said: str, now: datetime) -> str:
    return ""


def _last(row: Delivery) -> str:
    """What became of the last attempt, without the address of the recipient's system."""
    outcome = vars(row).get("last_outcome")
    if not outcome:
        return ""
    http = vars(row).get("last_http")
    told = str(Outcome(outcome).label) + (f", HTTP {http}" if http else "")
    return _("Lần gửi cuối: %(outcome)s.") % {"outcome": told}


_WHY = {
    Phase.FAILED: _failed,
    Phase.REFUSED: _refused,
    Phase.LATE: _late,
    Phase.WAITING: _waiting,
    Phase.HANDED_OVER: _handed_over,
    Phase.ACCEPTED: _nothing,
    Phase.ENDED: _nothing,
}
