"""Filters that a person keeps under a name above a list: kept and dropped by POST, opened by their address.

They are the person's own: asked for by account and not through `scope.visible`, so who reads everything does
not see them either. They are no evidence, so no event tells of them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unicodedata import normalize

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from exchange.admin.base import RecordAdmin
from exchange.admin.lists import Plan, Shown, checked
from exchange.models import SavedFilter
from exchange.models.saved_filter import LONGEST_NAME, LONGEST_QUERY

MOST = 20
PlanOf = Callable[[HttpRequest, QuerySet[Any]], Plan]


def urls(page: RecordAdmin, plan: PlanOf) -> list[URLPattern]:
    """The addresses at which filters of the list of `page` are kept and dropped."""

    def view(act: Callable[..., HttpResponseRedirect], *known: Any) -> Any:
        return page.admin_site.admin_view(require_POST(partial(act, page, *known)))

    return [
        path("saved/", view(_keep, plan), name=_address(page.model, "keep")),
        path("saved/<int:key>/drop/", view(_drop), name=_address(page.model, "drop")),
    ]


def offered(request: HttpRequest, model: type[Model], shown: Shown) -> Mapping[str, Any]:
    """The person's filters of the list of `model`, and where the one `shown` is kept, "" for nowhere."""
    rows = list(SavedFilter.objects.of(_user(request), _name(model)))
    keep = reverse(f"admin:{_address(model, 'keep')}")
    known = any(row.query == shown.query for row in rows)
    return {
        "rows": [
            {
                "row": row,
                "active": row.query == shown.query,
                "drop": reverse(f"admin:{_address(model, 'drop')}", args=(row.pk,)),
            }
            for row in rows
        ],
        "keep": f"{keep}?{shown.query}" if shown.query and not shown.problems and not known else "",
        "longest": LONGEST_NAME,
    }


def _keep(page: RecordAdmin, plan: PlanOf, request: HttpRequest) -> HttpResponseRedirect:
    """Keep the filter that stands in the address. Raises BadRequest for what the list would refuse too."""
    _may_view(page, request)
    query = checked(request.GET, plan(request, page.get_queryset(request)))
    name = " ".join(normalize("NFC", request.POST.get("name", "")).split())
    if problem := _problem(name, query) or _store(request, page.model, name, query):
        messages.error(request, problem)
    else:
        messages.success(request, _("Đã lưu bộ lọc “%(name)s”.") % {"name": name})
    return _back(page.model, query)


def _problem(name: str, query: str) -> str:
    """Why the filter cannot be kept, "" when it can."""
    if not query:
        return _("Danh sách chưa được lọc; hãy lọc trước rồi lưu.")
    if len(query) > LONGEST_QUERY:
        return _("Bộ lọc quá dài; hãy bớt chữ trong ô tìm.")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        return _("Tên bộ lọc cần từ 1 đến %(most)s ký tự; hãy đặt lại tên.") % {"most": LONGEST_NAME}
    return ""


@transaction.atomic
def _store(request: HttpRequest, model: type[Model], name: str, query: str) -> str:
    """Store it, or say why not. The row of the account is held, so that two at once do not exceed MOST."""
    User.objects.select_for_update().get(pk=_user(request))
    kept = SavedFilter.objects.of(_user(request), _name(model))
    if kept.filter(name=name).exists():
        return _("Đã có bộ lọc “%(name)s”; hãy chọn tên khác, hoặc xóa bộ lọc cũ.") % {"name": name}
    if kept.count() >= MOST:
        return _("Mỗi danh sách giữ nhiều nhất %(most)s bộ lọc; hãy xóa bớt một bộ lọc cũ.") % {"most": MOST}
    SavedFilter.objects.create(user_id=_user(request), page=_name(model), name=name, query=query)
    return ""


def _drop(page: RecordAdmin, request: HttpRequest, key: int) -> HttpResponseRedirect:
    """Forget one. Raises Http404 for one of somebody else or of another list."""
    _may_view(page, request)
    row = get_object_or_404(SavedFilter.objects.of(_user(request), _name(page.model)), pk=key)
    row.delete()
    messages.success(request, _("Đã xóa bộ lọc “%(name)s”.") % {"name": row.name})
    return _back(page.model)


def _may_view(page: RecordAdmin, request: HttpRequest) -> None:
    if not page.has_view_permission(request):
        raise PermissionDenied


def _back(model: type[Model], query: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(
        reverse(f"admin:exchange_{_name(model)}_changelist") + (query and f"?{query}")
    )


def _address(model: type[Model], act: str) -> str:
    return f"exchange_{_name(model)}_filter_{act}"


def _name(model: type[Model]) -> str:
    return str(model._meta.model_name)


def _user(request: HttpRequest) -> int:
    assert request.user.pk is not None  # noqa: S101  # the address is behind `admin_view`
    return request.user.pk
