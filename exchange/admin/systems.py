"""What operators and registrars may ask of a system or a certificate; the registry does each of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agencies.models import Certificate, System
from exchange import registry
from exchange.admin.confirm import Ask, Given, Outcome, actor_of, confirm, require
from exchange.admin.document import Button
from exchange.admin.looks import shown
from exchange.models import Circuit, InboxNotice

PAUSE, ROTATE, REVOKE = "agencies.pause_system", "agencies.rotate_credential", "agencies.revoke_certificate"
OVERLAPS = (
    ("0", gettext_lazy("Hủy ngay")),
    ("24", gettext_lazy("24 giờ nữa")),
    ("168", gettext_lazy("7 ngày nữa")),
)

_SECRETS = (("webhook", gettext_lazy("Đổi khóa webhook")), ("vxp", gettext_lazy("Đổi mật khẩu trục (VXP)")))
_PRESENT = (
    ("beside", gettext_lazy("vẫn dùng được tới lần đổi sau")),
    ("now", gettext_lazy("hủy ngay: hệ thống kia phải thay trước khi nhận tiếp")),
)


def buttons(request: HttpRequest, system: System) -> list[Button]:
    """What the person may ask of `system`."""
    found = []
    if request.user.has_perm(PAUSE):
        if system.paused_at:
            found.append(("resume", _("Giao tiếp"), "play_circle"))
        else:
            if broken(system):
                found.append(("resume", _("Thử giao ngay"), "replay"))
            found.append(("pause", _("Tạm dừng giao"), "pause_circle"))
        if system.callback_url:
            found.append(("test", _("Thử kết nối"), "network_check"))
    if request.user.has_perm(ROTATE):
        found.append(("rotate", _("Cấp lại thông tin xác thực"), "key"))
        found += [(kind, str(words), "key") for kind, words in _SECRETS if registry.has_secret(system, kind)]
    return [Button(words=words, icon=icon, url=_address(name, system)) for name, words, icon in found]


def broken(system: System) -> Circuit | None:
    """The circuit of `system` while it is open: pushes to it fail, and only a probe is tried now and then."""
    circuit: Circuit | None = getattr(system, "circuit", None)
    return circuit if circuit and circuit.opened_at else None


def broken_words(circuit: Circuit) -> str:
    """How often it failed, since when nothing is pushed, and when the next try is."""
    told = _("%(count)s lần lỗi liên tiếp; tạm ngắt từ %(since)s") % {
        "count": number_format(circuit.failures, force_grouping=True),
        "since": shown(circuit.opened_at),
    }
    return (
        f"{told}; " + _("thử lại lúc %(at)s") % {"at": shown(circuit.probe_at)} if circuit.probe_at else told
    )


def notice_words(system: System) -> str | None:
    """When it was last told that something is in its inbox, and what became of the present notice."""
    if not system.wants_notices:
        return None
    notice: InboxNotice | None = getattr(system, "inbox_notice", None)
    if notice is None or (notice.told_at is None and not notice.failures):
        return _("chưa gửi lần nào")
    told = _("hệ thống nhận gần nhất lúc %(at)s") % {"at": shown(notice.told_at)}
    if notice.failures:
        facts = {
            "count": number_format(notice.failures, force_grouping=True),
            "since": shown(notice.wanted_at),
            "at": shown(notice.due_at),
        }
        failing = _("%(count)s lần không gửi được; chờ báo từ %(since)s; thử lại lúc %(at)s") % facts
        return f"{failing}; {told}" if notice.told_at else failing
    return f"{told}; " + _("từ đó chưa hỏi hộp thư") if notice.unanswered else told


def certificate_buttons(request: HttpRequest, certificate: Certificate) -> list[Button]:
    """The same of a certificate."""
    if certificate.revoked_at or not request.user.has_perm(REVOKE):
        return []
    url = reverse("admin:agencies_certificate_revoke", args=(certificate.pk,))
    return [Button(words=_("Thu hồi chứng thư"), icon="gpp_bad", url=url)]


def pause(request: HttpRequest, key: UUID) -> HttpResponseBase:
    """Push nothing for now."""
    system = _system(request, key, PAUSE)
    ask = Ask(
        title=_("Tạm dừng giao cho %(name)s") % {"name": system.name},
        question=_(
            "Trục không đẩy văn bản tới hệ thống này nữa; văn bản vẫn được nhận và chờ trong hàng đợi."
        ),
        button=_("Tạm dừng"),
        back=_page(system),
        reason="must",
    )
    return _do(request, ask, lambda by: registry.pause(system, by=by), _("Đã tạm dừng giao."))


def resume(request: HttpRequest, key: UUID) -> HttpResponseBase:
    """Push again."""
    system = _system(request, key, PAUSE)
    ask = Ask(
        title=_("Giao tiếp cho %(name)s") % {"name": system.name},
        question=_("Mọi văn bản đang chờ hệ thống này được gửi ngay; các lỗi trước đó được bỏ qua."),
        button=_("Giao tiếp"),
        back=_page(system),
        reason="may",
    )
    return _do(
        request, ask, lambda by: registry.resume(system, by=by), _("Đã giao tiếp; văn bản chờ được gửi ngay.")
    )


def test(request: HttpRequest, key: UUID) -> HttpResponseBase:
    """Send a notice without content, and say whether it was taken."""
    system = _system(request, key, PAUSE)

    def act(given: Given) -> Outcome:
        if registry.test_connection(system, by=_change(request, given)):
            return Outcome(done=_("Hệ thống trả lời tốt: địa chỉ nhận hoạt động."))
        return Outcome(
            refused=[
                _(
                    "Hệ thống không nhận thông báo thử. "
                    "Hãy kiểm tra địa chỉ nhận, tường lửa và chứng thư TLS của họ."
                )
            ]
        )

    ask = Ask(
        title=_("Thử kết nối tới %(name)s") % {"name": system.name},
        question=_("Trục gửi một thông báo thử đã ký, không mang nội dung, tới %(url)s.")
        % {"url": system.callback_url},
        button=_("Gửi thông báo thử"),
        back=_page(system),
    )
    return confirm(request, ask, act)


def rotate(request: HttpRequest, key: UUID) -> HttpResponseBase:
    """New credentials, shown once."""
    system = _system(request, key, ROTATE)

    def act(given: Given) -> Outcome:
        overlap = timedelta(hours=int(given.choice))
        client_id, secret = registry.rotate_credential(system, overlap, by=_change(request, given))
        return Outcome(secrets=(("client_id", client_id), ("client_secret", secret)))

    ask = Ask(
        title=_("Cấp lại thông tin xác thực cho %(name)s") % {"name": system.name},
        question=_(
            "Trục tạo client_id và client_secret mới; thông tin cũ hết hiệu lực theo thời điểm đã chọn."
        ),
        button=_("Cấp lại"),
        back=_page(system),
        reason="must",
        choices=[(value, str(words)) for value, words in OVERLAPS],
        choice_words=_("Thông tin cũ hết hiệu lực"),
    )
    return confirm(request, ask, act)


def secret(kind: str) -> Callable[[HttpRequest, UUID], HttpResponseBase]:
    """The view that renews the secret of `kind` (`webhook`, `vxp`), shown once."""

    def renew(request: HttpRequest, key: UUID) -> HttpResponseBase:
        system = _system(request, key, ROTATE)
        if not registry.has_secret(system, kind):
            raise Http404

        def act(given: Given) -> Outcome:
            change = registry.SECRETS[kind, given.choice == "now"]
            return Outcome(secrets=((f"{kind}_secret", change(system, by=_change(request, given))),))

        words = dict(_SECRETS)[kind]
        ask = Ask(
            title=f"{words} – {system.name}",
            question=_(
                "Trục tạo khóa mới. Trong lúc hệ thống kia chưa kịp thay, khóa cũ vẫn dùng được "
                "bên cạnh khóa mới, cho tới lần đổi sau."
            ),
            button=_("Đổi khóa"),
            back=_page(system),
            reason="must",
            choices=[(value, str(text)) for value, text in _PRESENT],
            choice_words=_("Khóa cũ"),
        )
        return confirm(request, ask, act)

    return renew


def revoke(request: HttpRequest, key: UUID) -> HttpResponseBase:
    """Accept no signature of a certificate any more."""
    require(request, "agencies.view_certificate")
    certificate = get_object_or_404(Certificate.objects.select_related("agency"), pk=key, revoked_at=None)
    require(request, REVOKE)
    ask = Ask(
        title=_("Thu hồi chứng thư %(serial)s") % {"serial": certificate.serial},
        question=_(
            "Trục không nhận chữ ký của chứng thư này từ bây giờ. "
            "%(agency)s phải đăng ký chứng thư khác để gửi."
        )
        % {"agency": certificate.agency.name},
        button=_("Thu hồi chứng thư"),
        back=reverse("admin:agencies_certificate_change", args=(certificate.pk,)),
        reason="must",
        danger=True,
    )
    done = _("Đã thu hồi chứng thư.")
    return _do(request, ask, lambda by: registry.revoke_certificate(certificate, by=by), done)


def _do(
    request: HttpRequest, ask: Ask, change: Callable[[registry.Change], Any], done: str
) -> HttpResponseBase:
    def act(given: Given) -> Outcome:
        change(_change(request, given))
        return Outcome(done=done)

    return confirm(request, ask, act)


def _change(request: HttpRequest, given: Given) -> registry.Change:
    return registry.Change(actor_of(request), datetime.now(UTC), given.reason[:200])


def _system(request: HttpRequest, key: UUID, permission: str) -> System:
    require(request, "agencies.view_system")
    system = get_object_or_404(System, pk=key)
    require(request, permission)
    return system


def _page(system: System) -> str:
    return reverse("admin:agencies_system_change", args=(system.pk,))


def _address(name: str, system: System) -> str:
    return reverse(f"admin:agencies_system_{name}", args=(system.pk,))
