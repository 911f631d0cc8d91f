"""Every error as `application/problem+json` (RFC 9457). The one place that turns a refusal into HTTP."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.views import set_rollback

from exchange import metrics, siem
from exchange.api.request_id import request_id_of
from exchange.door import TooMany
from exchange.refusals import CATALOGUE, Problem, Refused

MEDIA_TYPE = "application/problem+json"
_logger = structlog.get_logger(__name__)
_UNAVAILABLE = (OperationalError, InterfaceError)
_SUSPECT = ("sender.suspended", "sender.not-yours", "request.too-many")
Errors = list[dict[str, str | int]]


def language() -> str:
    """The language of answers: Vietnamese, or English where the client prefers it (`Accept-Language`)."""
    return "en" if (get_language() or "").startswith("en") else "vi"


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """What the API answers to any exception of a view; an unforeseen one is logged with its trace."""
    set_rollback()
    request: HttpRequest = context["request"]._request
    response = answer(request, _refused(error, request), _pointed(error))
    if isinstance(error, TooMany):
        response["Retry-After"] = str(error.credit.seconds)
        error.credit.tell(response)
    return response


def answer(request: HttpRequest, refused: Refused, errors: Errors | None = None) -> HttpResponse:
    """The problem document of `refused`; `errors` replaces the list of its problems."""
    chosen, reason = language(), refused.reason
    count(refused)
    if reason.code.startswith("auth.") or reason.code in _SUSPECT:
        siem.say("request.refused", code=reason.code)
    body = {
        "type": page_of(reason.code),
        "title": refused.problems[0].title(chosen),
        "status": reason.status,
        "detail": refused.problems[0].detail(chosen),
        "code": reason.code,
        "errors": errors or [item(problem, chosen) for problem in refused.problems],
        "request_id": request_id_of(request),
    }
    response = HttpResponse(_json(body), content_type=MEDIA_TYPE, status=reason.status)
    response["Cache-Control"] = "no-store"
    if reason.status == 401:
        response["WWW-Authenticate"] = _challenge(reason.code)
    if reason.status == 503 and "seconds" in refused.problems[0].facts:
        response["Retry-After"] = str(refused.problems[0].facts["seconds"])
    return response


def count(refused: Refused) -> None:
    """Count a refusal that somebody is told."""
    metrics.REFUSALS.labels(refused.code).inc()


def item(problem: Problem, chosen: str) -> dict[str, str | int]:
    """One entry of `errors`: the code, the text in the language `chosen`, the place if there is one."""
    made: dict[str, str | int] = {"code": problem.code, "detail": problem.detail(chosen)}
    if problem.xpath:
        made["xpath"] = problem.xpath
    if problem.line:
        made["line"] = problem.line
    return made


def page_of(code: str) -> str:
    """The address of the page that describes `code`: the `type` of a problem."""
    return settings.ENVIRONMENT.base_url.rstrip("/") + reverse("api-problem", args=[code])


# --- outside the API's views: Django's own error handlers ---------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a problem document under /api/."""
    if not _of_api(request):
        return defaults.bad_request(request, exception)
    return answer(request, Refused("request.invalid", why=type(exception).__name__))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403: a problem document under /api/."""
    if not _of_api(request):
        return defaults.permission_denied(request, exception)
    return answer(request, Refused("auth.required"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: a problem document under /api/."""
    if not _of_api(request):
        return defaults.page_not_found(request, exception)
    return answer(request, Refused("request.not-found"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: a problem document under /api/."""
    if not _of_api(request):
        return defaults.server_error(request)
    return answer(request, Refused("hub.error"))


def _of_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


# --- exceptions as refusals ---------------------------------------------------------------------------


def _refused(error: Exception, request: HttpRequest) -> Refused:
    if isinstance(error, Refused):
        return error
    for kinds, translate in _TRANSLATIONS:
        if isinstance(error, kinds):
            return translate(error, request)
    if isinstance(error, _UNAVAILABLE):
        _logger.error("database_unavailable", exc_info=error)
        return Refused("hub.unavailable", why="database")
    _logger.error("request_failed", exc_info=error)
    return Refused("hub.error")


def _unauthenticated(error: Any, request: HttpRequest) -> Refused:
    return Refused("auth.required")


def _missing(error: Any, request: HttpRequest) -> Refused:
    return Refused("request.not-found")


def _method(error: Any, request: HttpRequest) -> Refused:
    return Refused("request.method", method=str(request.method))


def _media_type(error: Any, request: HttpRequest) -> Refused:
    return Refused("request.media-type", media_type=request.content_type or "", expected="application/json")


def _invalid(error: Any, request: HttpRequest) -> Refused:
    texts = [f"{pointer.lstrip('/')}: {text}" if pointer else text for pointer, text in _flat(error.detail)]
    return Refused("request.invalid", why="; ".join(texts).rstrip("."))


def _malformed(error: Any, request: HttpRequest) -> Refused:
    return Refused("request.invalid", why=type(error).__name__)


_TRANSLATIONS: Sequence[tuple[tuple[type[Exception], ...], Callable[[Any, HttpRequest], Refused]]] = (
    ((exceptions.NotAuthenticated, exceptions.AuthenticationFailed), _unauthenticated),
    ((exceptions.PermissionDenied, PermissionDenied), _unauthenticated),
    ((exceptions.NotFound, Http404), _missing),
    ((exceptions.MethodNotAllowed,), _method),
    ((exceptions.UnsupportedMediaType,), _media_type),
    ((exceptions.ParseError, exceptions.ValidationError), _invalid),
    ((BadRequest, SuspiciousOperation), _malformed),
)


def _pointed(error: Exception) -> Errors | None:
    """The places of a validation error, as JSON pointers (RFC 6901) into the body or names in the query."""
    if not isinstance(error, exceptions.ValidationError):
        return None
    return [
        {"code": "request.invalid", "detail": text, "pointer": pointer}
        for pointer, text in _flat(error.detail)
    ]


def _flat(detail: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, value in detail.items():
            inside = pointer if name == "non_field_errors" else f"{pointer}/{name}"
            yield from _flat(value, inside)
    elif isinstance(detail, list):
        for value in detail:
            yield from _flat(value, pointer)
    else:
        yield pointer, str(detail)


def _challenge(code: str) -> str:
    """RFC 6750, 3: without credentials no error code is given."""
    realm = f'Bearer realm="{settings.ENVIRONMENT.code}"'
    return realm if code == "auth.required" else f'{realm}, error="invalid_token"'


def _json(body: object) -> bytes:
    # A client's own words may hold a lone surrogate; its escape in JSON is what Python writes for it.
    return json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")


# --- the page of a code -------------------------------------------------------------------------------


def describe(request: HttpRequest, code: str) -> HttpResponse:
    """What a code means, in both languages; braces stand for facts of the single case.

    A page for a person, JSON for everything that does not ask for HTML.
    """
    reason = CATALOGUE.get(code)
    if reason is None:
        return answer(request, Refused("request.not-found"))
    if request.get_preferred_type(["application/json", "text/html"]) == "text/html":
        return _varied(render(request, "hub/problem.html", {"reason": reason}))
    body = {
        "type": page_of(code),
        "code": code,
        "status": reason.status,
        "title": {"vi": reason.title_vi, "en": reason.title_en},
        "detail": {"vi": reason.vi, "en": reason.en},
    }
    return _varied(JsonResponse(body, json_dumps_params={"ensure_ascii": False, "indent": 2}))


def _varied(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["Accept"])
    return response


@csrf_exempt
def unknown_address(request: HttpRequest, path: str) -> HttpResponse:
    """The answer to every address under /api/v1/ that does not exist."""
    return answer(request, Refused("request.not-found"))
