"""Pictures drawn by our own code as inline SVG: no outside host, no script, readable without colour.

Colours come from the style sheet (light and dark), patterns from `hub/patterns.html`. Every picture says in
words what it shows, and stands beside the numbers that it draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from exchange.admin.standing import Phase

_HEIGHT, _WIDTH, _BASE = 150, 640, 24


def bar(parts: Sequence[tuple[Phase, int]]) -> SafeString:
    """One bar of several phases, as wide as each is many."""
    total = sum(count for _phase, count in parts)
    if not total:
        return SafeString("")
    pieces, done = [], 0
    for phase, count in parts:
        pieces.append((f"{done / total:.2%}", f"{count / total:.2%}", phase.value, f"{phase.label}: {count}"))
        done += count
    words = ", ".join(f"{phase.label}: {count}" for phase, count in parts)
    drawn = format_html_join(
        "",
        '<g><rect x="{0}" width="{1}" height="100%" class="fill-{2}"></rect>'
        '<rect x="{0}" width="{1}" height="100%" fill="url(#pattern-{2})"></rect><title>{3}</title></g>',
        pieces,
    )
    return format_html('<svg class="hub-bar" role="img" aria-label="{}">{}</svg>', words, drawn)


@dataclass(frozen=True, slots=True)
class Column:
    """One place on the axis of a column picture: its label, and the heights of its columns."""

    label: str
    values: tuple[int, ...]
    words: str = ""


def columns(title: Any, found: Sequence[Column], series: Sequence[Any]) -> SafeString:
    """Columns side by side, one colour and pattern per series; every column has its number as a title."""
    top = max((value for item in found for value in item.values), default=0) or 1
    step = _WIDTH / max(len(found), 1)
    wide = min(28.0, step * 0.8 / len(series))
    every = max(1, len(found) // 7)
    drawn = [
        _columns_of(item, at=number * step, step=step, wide=wide, top=top, labelled=number % every == 0)
        for number, item in enumerate(found)
    ]
    lines = format_html_join(
        "",
        '<line x1="0" x2="{}" y1="{}" y2="{}" class="hub-grid"></line>'
        '<text x="0" y="{}" class="hub-axis">{}</text>',
        (
            (_WIDTH, y, y, y - 4, number_format(value, force_grouping=True))
            for value, y in ((top, 16), (top // 2, 16 + (_HEIGHT - 16) / 2))
            if value
        ),
    )
    return format_html(
        '<figure class="hub-chart"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>{}</figure>',
        _WIDTH,
        _HEIGHT + _BASE,
        title,
        lines,
        format_html_join("", "{}", ((item,) for item in drawn)),
        _legend(series) if len(series) > 1 else "",
    )


def _columns_of(item: Column, *, at: float, step: float, wide: float, top: int, labelled: bool) -> SafeString:
    left = at + (step - wide * len(item.values)) / 2
    rects = [
        (
            f"{left + number * wide:.1f}",
            f"{_HEIGHT - max(value / top * (_HEIGHT - 16), 1.5 if value else 0):.1f}",
            f"{wide - 2:.1f}",
            f"{max(value / top * (_HEIGHT - 16), 1.5 if value else 0):.1f}",
            number,
        )
        for number, value in enumerate(item.values)
    ]
    drawn = format_html_join(
        "",
        '<rect x="{0}" y="{1}" width="{2}" height="{3}" rx="2" class="fill-series-{4}"></rect>'
        '<rect x="{0}" y="{1}" width="{2}" height="{3}" rx="2" fill="url(#pattern-series-{4})"></rect>',
        rects,
    )
    label = format_html(
        '<text x="{}" y="{}" text-anchor="middle" class="hub-axis">{}</text>',
        f"{at + step / 2:.1f}",
        _HEIGHT + 16,
        item.label,
    )
    words = item.words or f"{item.label}: " + ", ".join(str(value) for value in item.values)
    return format_html("<g><title>{}</title>{}{}</g>", words, drawn, label if labelled else "")


def _legend(series: Sequence[Any]) -> SafeString:
    keys = format_html_join(
        "",
        '<li><svg width="14" height="14" aria-hidden="true">'
        '<rect width="14" height="14" rx="3" class="fill-series-{0}"></rect>'
        '<rect width="14" height="14" rx="3" fill="url(#pattern-series-{0})"></rect></svg>{1}</li>',
        enumerate(series),
    )
    return format_html('<ul class="hub-legend" aria-label="{}">{}</ul>', _("Chú giải"), keys)
