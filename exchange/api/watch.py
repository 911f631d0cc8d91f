"""Every request is counted, timed, and leaves one line in the log; never its body or its query.

What the address names (package, delivery) is bound to all lines of the request.
"""

import time
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponseBase
from structlog import contextvars

from exchange import metrics, waiting

_logger = structlog.get_logger(__name__)
_BOUND = {"package_id": "package", "delivery_id": "delivery"}
_QUIET = ("healthz", "readyz")


class WatchMiddleware:
    """Counts by the route, not by the address: an address holds ids, and there would be no end of them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = waiting.once("started", time.perf_counter)
        contextvars.bind_contextvars(source=request.META.get("REMOTE_ADDR", ""))
        response = self.get_response(request)
        if ticket := waiting.parked():  # it ends later, with this answer or without one
            ticket.closing = partial(_later, copy_context(), request, started)
        else:
            _say(request, started, response.status_code)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> None:
        """Called by Django when it knows what the address means."""
        known = {short: str(named[name]) for name, short in _BOUND.items() if name in named}
        contextvars.bind_contextvars(**known)


def _later(context: Context, request: HttpRequest, started: float, status: int) -> None:
    context.run(_say, request, started, status)


def _say(request: HttpRequest, started: float, status: int) -> None:
    seconds = time.perf_counter() - started
    route = request.resolver_match.route if request.resolver_match else "unknown"
    method = request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(seconds)
    if route not in _QUIET:
        _logger.info(
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
        )
