"""The page of one document: who has it, who has not and why, and everything that happened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, prefetch_related_objects
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.timezone import localdate
from django.utils.translation import gettext as _

from agencies.models import Certificate
from exchange.admin import events, progress, receipts
from exchange.admin.actions import REMIND, RESEND, WITHDRAW, remindable, resendable, withdrawable
from exchange.admin.looks import NOTHING, anchor, badge, link, may_view, moment, request_badge, shown, size_of
from exchange.admin.pictures import bar
from exchange.admin.scope import visible
from exchange.admin.standing import Phase, Standing, standings, with_phase
from exchange.envelope.codes import PRIORITIES
from exchange.models import Answer, Delivery, Event, Package, Request, SignatureState

MOST = 500
LATEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One thing that can be done from the page; a link to what asks or gives it, or a `post` that does it."""

    words: str
    icon: str
    url: str
    primary: bool = False
    post: bool = False


# Other modules append what else can be had of a document: (request, package) to a button, or None.
BUTTONS: list[Callable[[HttpRequest, Package], Button | None]] = []


def show(request: HttpRequest, package: Package) -> TemplateResponse:
    """The page of `package`, which exists for the person."""
    now = datetime.now(UTC)
    progress.attach(request, [package])
    prefetch_related_objects([package], events.about(request))
    rows = standings(list(with_phase(_deliveries(request, package), now)[: MOST + 1]), now)
    found = progress.of(package)
    names = dict(_deliveries(request, package).order_by().values_list("pk", "recipient__name"))
    happened = _happened(request, package, names)
    context = {
        **admin.site.each_context(request),
        "title": str(package),
        "opts": Package._meta,
        "original": package,
        "package": package,
        "progress": found,
        "bar": bar(found.parts),
        "legend": [(phase, phase.label, count) for phase, count in found.parts],
        "sentence": _sentence(found),
        "buttons": _buttons(request, package),
        "recipients": [_recipient(request, row) for row in rows[:MOST]],
        "more": len(rows) > MOST,
        "facts": _facts(package),
        "signature": _signature(request, package),
        "related": _related(request, package),
        "receipts": receipts.of(package, happened, names) if happened else None,
        "days": _timeline(request, happened, names),
        "latest": LATEST if len(happened) == LATEST else 0,
        "urgency": _urgency(package),
    }
    return TemplateResponse(request, "hub/document.html", context)


def _deliveries(request: HttpRequest, package: Package) -> Any:
    return visible(request, Delivery.objects.filter(package=package))


# --- the state in one sentence --------------------------------------------------------------------------


def _sentence(found: progress.Progress) -> str:
    """What is left to do, after the counts."""
    waiting, handed = found.counts[Phase.WAITING], found.counts[Phase.HANDED_OVER]
    trouble = found.counts[Phase.FAILED] + found.counts[Phase.REFUSED] + found.counts[Phase.LATE]
    if found.total and found.done + found.counts[Phase.ENDED] == found.total:
        return _("Không còn việc gì phải theo dõi.")
    parts = [
        (trouble, _("%(count)s nơi cần xem lại, nêu ở đầu danh sách")),
        (waiting, _("%(count)s nơi đang chờ giao")),
        (0 if found.is_status else handed, _("%(count)s nơi đã nhận vào hệ thống, chờ người tiếp nhận")),
    ]
    told = "; ".join(words % {"count": count} for count, words in parts if count)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _buttons(request: HttpRequest, package: Package) -> list[Button]:
    asked = (
        (RESEND, resendable(request, package), _("Gửi lại %(count)s lượt lỗi"), True),
        (REMIND, remindable(request, package), _("Nhắc %(count)s nơi quá hạn"), False),
        (WITHDRAW, withdrawable(request, package), _("Thu hồi"), False),
    )
    buttons = []
    for action, deliveries, words, primary in asked:
        if count := deliveries.count():
            url = reverse(f"admin:{action.address}", args=(package.pk,))
            told = words % {"count": count}
            buttons.append(Button(words=told, icon=action.icon, url=url, primary=primary))
    content = reverse("admin:exchange_package_content", args=(package.pk,))
    buttons.append(Button(words=_("Tải gói tin gốc"), icon="download", url=content))
    return buttons + [button for make in BUTTONS if (button := make(request, package))]


# --- recipients -----------------------------------------------------------------------------------------


def _recipient(request: HttpRequest, row: Standing) -> dict[str, Any]:
    delivery = row.delivery
    return {
        "row": row,
        "name": link(request, delivery, delivery.recipient.name),
        "code": delivery.recipient_code,
        "times": [(words, moment(at)) for words, at in _times(delivery) if at],
        "asked": request_badge(delivery) if delivery.request != Request.NONE else "",
        "resend": _resend(request, row),
        "next": moment(row.next_at),
    }


def _times(delivery: Delivery) -> list[tuple[str, datetime | None]]:
    """What happened and what is due, as far as it says something."""
    confirmed = delivery.first_answered_at
    return [
        (_("giao lúc"), delivery.handed_over_at),
        (_("trả lời lúc"), delivery.answered_at),
        (_("hạn xác nhận"), None if confirmed else delivery.receipt_due_at),
        (_("đã nhắc lúc"), None if confirmed else delivery.reminded_at),
        (_("hạn trả lời đề nghị"), delivery.request_due_at),
    ]


def _resend(request: HttpRequest, row: Standing) -> str:
    if row.phase != Phase.FAILED or not RESEND.allowed(request, row.delivery.package):
        return ""
    return (
        reverse(f"admin:{RESEND.address}", args=(row.delivery.package_id,)) + f"?delivery={row.delivery.pk}"
    )


# --- facts ----------------------------------------------------------------------------------------------


def _urgency(package: Package) -> str:
    label = PRIORITIES[package.priority].label
    return label.en if events.language() == "en" else label.vi


def _facts(package: Package) -> list[tuple[str, str]]:
    about = package.about
    facts = [
        (_("Nơi gửi"), f"{package.sender.name} ({package.sender_code})"),
        (_("Tên loại"), package.type_name or package.get_kind_display()),
        (_("Nghiệp vụ"), package.get_business_type_display()),
        (_("Ngày ban hành"), shown(package.promulgated_on)),
        (_("Hạn trả lời"), shown(package.due_on)),
        (_("Về văn bản"), _link(about) if about else NOTHING),
        (_("Trả lời đúng hạn"), timeliness(package)),
        (_("Trục nhận lúc"), moment(package.accepted_at)),
        (_("Dung lượng"), size_of(package.size)),
    ]
    return [(words, value) for words, value in facts if value not in ("", NOTHING)]


def _link(package: Package) -> SafeString:
    return anchor(reverse("admin:exchange_package_change", args=(package.pk,)), package)


def timeliness(package: Package) -> str:
    """`Đúng hạn (20/11/2026)` for a reply to a document that asked for one by then, else nothing."""
    if package.about is None or package.in_time is None:
        return ""
    day = shown(package.about.due_on)
    if package.in_time:
        return badge("success", _("Đúng hạn (%(day)s)") % {"day": day})
    return badge("danger", _("Trễ hạn (%(day)s)") % {"day": day})


def _related(request: HttpRequest, package: Package) -> list[dict[str, Any]]:
    related = Q(about=package.pk) | Q(pk=package.about_id)
    packages = visible(request, Package.objects.filter(related)).select_related("sender").defer("search_text")
    rows = packages.prefetch_related(events.about(request)).order_by("accepted_at", "id")[:LATEST]
    return [
        {
            "link": _link(row),
            "what": _what(row),
            "sender": row.sender.name,
            "at": moment(row.accepted_at),
            "due": shown(row.due_on) if row.due_on else "",
            "timeliness": timeliness(row),
        }
        for row in rows
    ]


def _what(package: Package) -> str:
    if package.business_type:
        return package.get_business_type_display()
    answer = dict(Answer.choices).get(package.status_code, package.get_kind_display())
    return f"{answer} ({package.status_code})"


# --- the signature in words -----------------------------------------------------------------------------


def _signature(request: HttpRequest, package: Package) -> dict[str, Any]:
    state = SignatureState(package.signature_state)
    certificate = Certificate.objects.filter(
        agency=package.sender_id, fingerprint=package.signer_fingerprint
    ).first()
    words, icon, tone = {
        SignatureState.VALID: (
            _("Chữ ký hợp lệ, chứng thư đã đăng ký của nơi gửi"),
            "verified",
            Phase.ACCEPTED,
        ),
        SignatureState.ABSENT: (_("Cảnh báo: gói tin không có chữ ký số"), "gpp_maybe", Phase.LATE),
        SignatureState.INVALID: (_("Cảnh báo: chữ ký không hợp lệ"), "gpp_bad", Phase.FAILED),
        SignatureState.BY_HUB: (_("Trục ký thay nơi gửi"), "verified_user", Phase.WAITING),
    }[state]
    facts = [(_("Người ký"), package.signer)]
    if certificate:
        facts += [
            (_("Chứng thư"), link(request, certificate, certificate.serial)),
            (_("Tổ chức cấp"), certificate.issuer),
            (_("Hiệu lực"), f"{shown(certificate.not_before)} – {shown(certificate.not_after)}"),
        ]
    return {
        "words": words,
        "icon": icon,
        "tone": tone,
        "problem": events.reason_words(package.signature_problem),
        "facts": [(name, value) for name, value in facts if value],
    }


# --- what happened --------------------------------------------------------------------------------------


def _happened(request: HttpRequest, package: Package, names: Mapping[UUID, str]) -> list[Event]:
    """The latest events that the person may read, the newest first; `names` are the deliveries seen."""
    if not may_view(request, Event):
        return []
    # What `scope` lets one see, said by values: as a question over all events it would take seconds.
    seen = Q(delivery__in=list(names)) | Q(delivery=None)
    found = Event.objects.filter(seen, package=package.pk).select_related("body", "text")
    return list(found.order_by("-id")[:LATEST])


def _timeline(
    request: HttpRequest, happened: Sequence[Event], names: Mapping[UUID, str]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """What happened, by day."""
    events.name_systems(happened)
    days: dict[str, list[dict[str, Any]]] = {}
    for event in happened:
        told = {
            "link": link(request, event, events.name_of(event)),
            "at": event.at,
            "bad": events.tone_of(event) == "danger",
            "recipient": names.get(event.delivery, "") if event.delivery else "",
            "reason": events.reason_of(event),
            "actor": events.actor_of(event),
        }
        days.setdefault(shown(localdate(event.at)), []).append(told)
    return list(days.items())
