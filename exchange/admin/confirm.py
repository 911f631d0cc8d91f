"""Asking before acting: a page says what will happen to how many, and why; only its button changes anything.

The page comes by GET and writes nothing; the button is a POST of the same address. Whatever is refused is
shown with its reason and its code, and nothing is left half done in silence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from exchange import log
from exchange.admin.events import language
from exchange.refusals import Refused
from exchange.registry import EnrolmentError

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that the action is about; `key` is what is posted when it may be left out."""

    name: str
    why: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked: `title` names the action, `question` says what comes of it, `button` does it."""

    title: str
    question: str
    button: str
    back: str
    lines: Sequence[Line] = ()
    reason: str = ""  # "", "may" or "must": whether a person's words are asked for
    danger: bool = False
    choices: Sequence[tuple[str, str]] = ()
    choice_words: str = ""
    hidden: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the person gave with the button."""

    reason: str
    chosen: frozenset[str]
    choice: str


@dataclass(slots=True)
class Outcome:
    """What came of it: what was done in words, and what was refused with its reasons; secrets shown once."""

    done: str = ""
    refused: list[str] = field(default_factory=list)
    secrets: Sequence[tuple[str, str]] = ()


Act = Callable[[Given], Outcome]


def actor_of(request: HttpRequest) -> log.Actor:
    """The person behind `request`, as events name people."""
    return log.Actor("person", str(request.user.pk), "session")


def require(request: HttpRequest, permission: str) -> None:
    """Raises PermissionDenied without `permission`."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def confirm(request: HttpRequest, ask: Ask, act: Act) -> HttpResponseBase:
    """Ask, or act when the button was pressed."""
    if request.method != "POST":
        return _page(request, ask)
    given = _given(request, ask)
    problem = _problem(ask, given)
    if problem:
        return _page(request, ask, problem=problem, given=given)
    try:
        outcome = act(given)
    except (Refused, EnrolmentError) as error:
        return _page(request, ask, problem=words_of(error), given=given)
    if outcome.secrets:
        response = _page(request, ask, secrets=outcome.secrets)
        response["Cache-Control"] = "no-store"
        return response
    if outcome.done:
        messages.success(request, outcome.done)
    for told in outcome.refused:
        messages.error(request, told)
    return HttpResponseRedirect(ask.back)


def words_of(error: Refused | EnrolmentError) -> str:
    """What happened, why, what next, and the code to quote."""
    if isinstance(error, EnrolmentError):
        return f"{error.message_en if language() == 'en' else error.message_vi} ({error.code})"
    problem = error.problems[0]
    return f"{problem.title(language())}: {problem.detail(language())} ({problem.code})"


def _given(request: HttpRequest, ask: Ask) -> Given:
    keys = {line.key for line in ask.lines if line.key}
    return Given(
        reason=" ".join(request.POST.get("reason", "").split()),
        chosen=frozenset(request.POST.getlist("line")) & keys,
        choice=request.POST.get("choice", ""),
    )


def _problem(ask: Ask, given: Given) -> str:
    if ask.reason == "must" and not given.reason:
        return _("Hãy ghi lý do: lý do được lưu trong nhật ký và gửi cho các bên.")
    if len(given.reason) > LONGEST_REASON:
        return _("Lý do dài quá %(count)s chữ; hãy rút gọn.") % {"count": LONGEST_REASON}
    if any(line.key for line in ask.lines) and not given.chosen:
        return _("Hãy chọn ít nhất một dòng.")
    if ask.choices and given.choice not in dict(ask.choices):
        return _("Hãy chọn một trong các giá trị đã cho.")
    return ""


def _page(request: HttpRequest, ask: Ask, **more: Any) -> TemplateResponse:
    given: Given | None = more.get("given")
    context = {
        **admin.site.each_context(request),
        "title": ask.title,
        "ask": ask,
        "lines": [(line, given is None or line.key in given.chosen) for line in ask.lines],
        "longest": LONGEST_REASON,
        **more,
    }
    return TemplateResponse(request, "hub/confirm.html", context, status=422 if more.get("problem") else 200)
