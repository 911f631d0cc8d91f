"""Ctrl-K: the newest documents in which every word occurs, at most TOP, whatever page one is on."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from exchange.admin import progress
from exchange.admin.looks import may_view
from exchange.admin.scope import visible
from exchange.models import Kind, Package

TOP = 20


def hits(request: HttpRequest) -> HttpResponseBase:
    """The list below the search box, as a piece of a page."""
    question = request.GET.get("q", "").strip()
    found: list[Package] = []
    if question and may_view(request, Package):
        rows = visible(request, Package.objects.filter(kind=Kind.DOCUMENT)).search(question)
        found = list(rows.select_related("sender").defer("search_text")[:TOP])
        progress.attach(request, found)
    return TemplateResponse(request, "hub/quick.html", {"question": question, "found": found})
