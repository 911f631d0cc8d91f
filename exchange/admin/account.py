"""A person's own page for the second factor: switch it on with a code, or off with one."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from exchange import second_factor
from exchange.admin.signing_in import check_tries, count_wrong


def show(request: HttpRequest) -> HttpResponseBase:
    """The page; POST switches."""
    code = "".join(request.POST.get("code", "").split())
    if request.method != "POST":
        return _page(request)
    try:
        check_tries(request.user.get_username(), request)
    except ValidationError as error:
        return _page(request, problem=error.messages[0])
    return _switch_off(request, code) if second_factor.is_on(_person(request)) else _switch_on(request, code)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  # the address is behind `admin_view`
    return request.user


def _switch_on(request: HttpRequest, code: str) -> HttpResponseBase:
    offer = request.POST.get("offer", "")
    device = second_factor.offered(_person(request), offer)
    if device is None:
        return _page(request, problem=_("Mã QR đã quá 15 phút. Hãy quét mã mới dưới đây."))
    saved = second_factor.switch_on(device, code)
    if saved:
        return _page(request, saved=saved)
    count_wrong(request.user.get_username(), request)
    return _page(request, problem=str(second_factor.WRONG_CODE), offer=offer)


def _switch_off(request: HttpRequest, code: str) -> HttpResponseBase:
    if not second_factor.check(_person(request), code):
        count_wrong(request.user.get_username(), request)
        return _page(request, problem=str(second_factor.WRONG_CODE))
    second_factor.switch_off(_person(request), by=request.user.get_username())
    messages.success(request, _("Đã tắt xác thực hai bước."))
    return HttpResponseRedirect(reverse("admin:hub_second_factor"))


def _page(request: HttpRequest, **more: Any) -> TemplateResponse:
    on = second_factor.is_on(_person(request))
    context = {**admin.site.each_context(request), "title": _("Xác thực hai bước"), "on": on, **more}
    if not on:
        context["offer"] = offer = more.get("offer") or second_factor.offer(_person(request))
        device = second_factor.offered(_person(request), offer)
        if device is not None:
            # Drawn by us from a name and a key that are quoted in an address: squares, no words.
            context["picture"] = mark_safe(second_factor.picture(device))  # noqa: S308
            context["secret"] = second_factor.secret(device)
    response = TemplateResponse(
        request, "hub/second_factor.html", context, status=422 if more.get("problem") else 200
    )
    response["Cache-Control"] = "no-store"
    return response
