"""What every page of a record has in common: fetched through the scope, read only, counted within bounds."""

from typing import Any, NoReturn

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from exchange.admin.looks import NOTHING, Table
from exchange.admin.scope import visible

COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts at most COUNTED + 1 rows: beyond that a list says “trên 10.000”, and nobody pages that far."""

    template_name = "hub/pagination.html"

    @cached_property
    def count(self) -> int:
        """The number of rows, or COUNTED + 1 for more than COUNTED."""
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        return rows.order_by()[: COUNTED + 1].count()


class RecordList(ChangeList):
    """One page of a list."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows of the page; the heading shows no count where it says nothing or would be a lie."""
        super().get_results(request)
        narrowed = self.query or self.filter_params
        if not narrowed or self.result_count > COUNTED:
            self.full_result_count = self.result_count


class RecordAdmin(ModelAdmin):
    """Base of all pages. Records are evidence: nothing is added, changed or deleted here."""

    actions = None
    empty_value_display = NOTHING
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    # Sorting and facets would read whole tables.
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    view_on_site = False
    change_form_outer_before_template = "hub/buttons.html"  # type: ignore[assignment]
    change_form_outer_after_template = "hub/tables.html"  # type: ignore[assignment]  # unfold says None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that exist for this person."""
        return visible(request, super().get_queryset(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """The class of the list."""
        return RecordList

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Everything that is shown."""
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    def heading(self, obj: Any) -> str:
        """The title of the page of `obj`; not its `str`, which may name what the person must not read."""
        return str(obj)

    def tables(self, request: HttpRequest, obj: Any) -> list[Table]:
        """The tables below the fields of `obj`."""
        return []

    def buttons(self, request: HttpRequest, obj: Any) -> list[Any]:
        """What can be asked of `obj`, above its fields."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The page of one record, with its tables."""
        context["tables"] = self.tables(request, kwargs["obj"])
        context["buttons"] = self.buttons(request, kwargs["obj"])
        context |= {"title": self.heading(kwargs["obj"]), "subtitle": None}
        return super().render_change_form(request, context, *args, **kwargs)

    def _get_obj_does_not_exist_redirect(self, *args: Any) -> NoReturn:
        """Django would redirect with a message, and the message would write to the session: 404 instead."""
        raise Http404(_("Không tìm thấy, hoặc không thuộc cơ quan của bạn."))
