"""What a person may ask of a document's deliveries: send again, remind, withdraw. A stage does each of them.

Only for documents of the own agencies (an operator may send any delivery again): what is not the person's
is not found, and what the state of a delivery forbids is not offered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from exchange import clocks, delivery, intake
from exchange.admin.confirm import Ask, Given, Line, Outcome, actor_of, confirm, require, words_of
from exchange.admin.scope import WATCH_DELIVERIES, own_ids, sees_content, visible
from exchange.admin.standing import standings, with_phase
from exchange.models import Answer, BusinessType, Delivery, Kind, Package, RequestState
from exchange.models.delivery import ENDED, FAILED, DeliveryQuerySet
from exchange.refusals import Refused

AT_ONCE = 500  # deliveries in one go; the rest is asked for again
Rows = DeliveryQuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action: the name of its address, its permission, its symbol."""

    address: str
    permission: str
    icon: str

    def allowed(self, request: HttpRequest, package: Package) -> bool:
        """Whether the person may ask it of deliveries of `package`."""
        if not request.user.has_perm(self.permission):
            return False
        return bool(request.user.is_superuser) or package.sender_id in own_ids(request)


RESEND = Action(address="exchange_package_resend", permission="exchange.resend_delivery", icon="replay")
REMIND = Action(
    address="exchange_package_remind", permission="exchange.remind_delivery", icon="notifications_active"
)
WITHDRAW = Action(address="exchange_package_withdraw", permission="exchange.withdraw_package", icon="undo")


def resendable(request: HttpRequest, package: Package) -> Rows:
    """The deliveries that expired or could not be delivered."""
    return _of(request, package, RESEND).filter(FAILED)


def remindable(request: HttpRequest, package: Package) -> Rows:
    """Those that are late and were not reminded within the last hour."""
    return _of(request, package, REMIND).remindable(datetime.now(UTC))


def withdrawable(request: HttpRequest, package: Package) -> Rows:
    """Those that the recipient has not refused, of a document that the hub may take back for its sender."""
    if not package.sender.hub_may_sign or package.business_type == BusinessType.RECALL:
        return Delivery.objects.none()
    mine = _of(request, package, WITHDRAW).filter(package__kind=Kind.DOCUMENT)
    return mine.exclude(ENDED).exclude(request_state=RequestState.OPEN).exclude(answer=Answer.REFUSED)


def _of(request: HttpRequest, package: Package, action: Action) -> Rows:
    rows = Delivery.objects.filter(package=package)
    return rows if action.allowed(request, package) else rows.none()


# --- of one document ------------------------------------------------------------------------------------


def resend(request: HttpRequest, package_id: UUID) -> HttpResponseBase:
    """Send the failed deliveries of a document again, or the one named in the address."""
    package = _package(request, package_id, RESEND)
    rows = resendable(request, package)
    if one := request.GET.get("delivery"):
        rows = rows.filter(pk__in=[_uuid(one)])
    return _resend(request, rows, _page_of(package))


def remind(request: HttpRequest, package_id: UUID) -> HttpResponseBase:
    """Remind the recipients of a document that are late."""
    package = _package(request, package_id, REMIND)
    rows, back = remindable(request, package), _page_of(package)
    lines = _lines(rows)

    def act(given: Given) -> Outcome:
        count = clocks.remind_again(
            list(rows.values_list("pk", flat=True)), actor=actor_of(request), now=datetime.now(UTC)
        )
        return Outcome(done=_("Đã nhắc %(count)s nơi nhận.") % {"count": count})

    ask = Ask(
        title=_("Nhắc nơi nhận quá hạn"),
        question=_(
            "Nhắc %(count)s nơi chưa xác nhận tiếp nhận đúng hạn: lời nhắc vào nhật ký, "
            "tới hệ thống và thư điện tử của nơi nhận."
        )
        % {"count": len(lines)},
        button=_("Nhắc %(count)s nơi") % {"count": len(lines)},
        back=back,
        lines=lines,
    )
    return _ask(request, ask, act)


def withdraw(request: HttpRequest, package_id: UUID) -> HttpResponseBase:
    """Take a document back from the recipients that are chosen, with a reason that they will read."""
    package = _package(request, package_id, WITHDRAW)
    rows = withdrawable(request, package)

    def act(given: Given) -> Outcome:
        chosen = rows.filter(pk__in=given.chosen).select_related("package__sender", "recipient")
        return _each(
            chosen,
            lambda row: intake.withdraw(
                row, reason=given.reason, actor=actor_of(request), now=datetime.now(UTC)
            ),
            _("Đã thu hồi, hoặc đã gửi yêu cầu lấy lại, ở %(count)s nơi."),
        )

    lines = _lines(rows, chosen=True)
    ask = Ask(
        title=_("Thu hồi văn bản %(code)s") % {"code": package},
        question=_(
            "Nơi chưa lấy văn bản thì không nhận nữa; nơi đã nhận sẽ được yêu cầu trả lại và phải trả lời. "
            "Trục ký thay cơ quan gửi; nhật ký ghi tài khoản của bạn."
        ),
        button=_("Thu hồi"),
        back=_page_of(package),
        lines=lines,
        reason="must",
        danger=True,
    )
    return _ask(request, ask, act)


# --- of any deliveries, for operators -------------------------------------------------------------------


def resend_any(request: HttpRequest) -> HttpResponseBase:
    """Send failed deliveries again: those of one recipient or system, or one by its id."""
    require(request, RESEND.permission)
    if not request.user.has_perm(WATCH_DELIVERIES) or sees_content(request):
        raise Http404
    rows = visible(request, Delivery.objects.filter(FAILED))
    names = {"delivery": "pk", "recipient": "recipient", "system": "system"}
    found = {field: _uuid(value) for key, field in names.items() if (value := request.GET.get(key))}
    return _resend(
        request, rows.filter(**found), reverse("admin:exchange_delivery_changelist") + "?show=failed"
    )


# --- the same for all -----------------------------------------------------------------------------------


def _resend(request: HttpRequest, rows: Rows, back: str) -> HttpResponseBase:
    lines = _lines(rows)

    def act(given: Given) -> Outcome:
        return _each(
            rows.select_related("recipient")[:AT_ONCE],
            lambda row: delivery.resend(
                row.pk, actor=actor_of(request), now=datetime.now(UTC), reason=given.reason
            ),
            _("Đã đưa %(count)s lượt trở lại hàng đợi."),
        )

    ask = Ask(
        title=_("Gửi lại lượt lỗi"),
        question=_("%(count)s lượt trở lại hàng đợi với thời hạn giao mới. Biên nhận cũ vẫn đúng.")
        % {"count": len(lines)},
        button=_("Gửi lại %(count)s lượt") % {"count": len(lines)},
        back=back,
        lines=lines,
        reason="may",
    )
    return _ask(request, ask, act)


def _ask(request: HttpRequest, ask: Ask, act: Callable[[Given], Outcome]) -> HttpResponseBase:
    if not ask.lines:
        raise Http404(_("Không còn lượt gửi nào để làm việc này; hãy mở lại trang."))
    return confirm(request, ask, act)


def _each(rows: Rows, do: Callable[[Delivery], Any], words: str) -> Outcome:
    """Do it to every row; what is refused is told by recipient, and stops nobody else."""
    outcome, done = Outcome(), 0
    for row in list(rows):
        try:
            do(row)
            done += 1
        except Refused as refused:
            outcome.refused.append(f"{row.recipient.name}: {words_of(refused)}")
    if done:
        outcome.done = words % {"count": done}
    return outcome


def _lines(rows: Rows, *, chosen: bool = False) -> list[Line]:
    """Each row with where it stands and why; `chosen` lets the person leave some out."""
    now = datetime.now(UTC)
    found = standings(list(with_phase(rows, now)[:AT_ONCE]), now)
    return [
        Line(
            name=f"{item.delivery.recipient.name} – {item.words}",
            why=item.why,
            key=str(item.delivery.pk) if chosen else "",
        )
        for item in found
    ]


def _package(request: HttpRequest, package_id: UUID, action: Action) -> Package:
    """The package, if it exists for the person. Raises Http404, PermissionDenied."""
    packages = visible(request, Package.objects.select_related("sender"))
    package = get_object_or_404(packages, pk=package_id) if sees_content(request) else None
    if package is None:
        raise Http404
    require(request, action.permission)
    return package


def _page_of(package: Package) -> str:
    return reverse("admin:exchange_package_change", args=(package.pk,))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error
