"""Every request has an id: taken from the client when it is harmless, made otherwise, and given back."""

import re
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, HttpResponseBase
from structlog import contextvars

HEADER = "X-Request-Id"
_HARMLESS = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_id_of(request: HttpRequest) -> str:
    """The id of `request`; empty before the middleware has seen it."""
    return str(getattr(request, "request_id", ""))


class RequestIdMiddleware:
    """Sets `request.request_id`, binds it to the log lines of the request, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        request_id = given if _HARMLESS.fullmatch(given) else str(uuid4())
        request.request_id = request_id  # type: ignore[attr-defined]
        contextvars.clear_contextvars()
        contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response[HEADER] = request_id
        return response
