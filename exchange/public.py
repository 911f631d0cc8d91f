"""/kiem-tra, the one page for everybody: was this document sent, by whom, to whom, with which result.

A plain form that works without JavaScript; a small script of our own computes the digest of a file.
"""

from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from exchange import door
from exchange.exports import codes

LONGEST = 200  # characters of a question


@require_safe
def check(request: HttpRequest) -> HttpResponse:
    """The form, and the answer to `q`: a code or a SHA-256. In Vietnamese, whatever the browser prefers."""
    asked = request.GET.get("q", "")[:LONGEST]
    with translation.override("vi"):
        status, headers, context = _answer(request, asked) if asked.strip() else (200, {}, {})
        page = {"asked": asked, "hub": settings.ENVIRONMENT.name, **context}
        answer = render(request, "hub/check.html", page, status=status)
    for name, value in {"Cache-Control": "no-store", **headers}.items():
        answer[name] = value
    return answer


def _answer(request: HttpRequest, asked: str) -> tuple[int, dict[str, str], dict[str, object]]:
    try:
        door.count_visitor(request.META.get("REMOTE_ADDR", ""), datetime.now(UTC))
    except door.TooMany as refused:
        words = _("Có quá nhiều lượt kiểm tra từ địa chỉ này. Hãy thử lại sau %(seconds)s giây.")
        seconds = refused.credit.seconds
        return 429, {"Retry-After": str(seconds)}, {"problem": words % {"seconds": seconds}}
    found = codes.find(asked)
    if found is None:
        problem = _(
            "Đây không phải mã trên bản xác nhận (26 ký tự) hay SHA-256 (64 ký tự). Hãy kiểm tra lại."
        )
        return 400, {}, {"problem": problem}
    if not found:
        problem = _("Trục không có văn bản nào ứng với mã hoặc tệp này. Tệp có thể đã bị thay đổi.")
        return 404, {}, {"problem": problem}
    return 200, {}, {"found": found}
