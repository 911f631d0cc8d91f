"""Every request is counted, timed, and leaves one line in the log; never its body or its query."""

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase

from exchange import metrics

_logger = structlog.get_logger(__name__)
_QUIET = ("healthz", "readyz")


class WatchMiddleware:
    """Counts by the route, not by the address: an address holds ids, and there would be no end of them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - started
        route = request.resolver_match.route if request.resolver_match else "unknown"
        method = request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        metrics.REQUESTS.labels(method, route, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(seconds)
        if route not in _QUIET:
            _logger.info(
                "request",
                method=method,
                route=route,
                status=response.status_code,
                milliseconds=round(seconds * 1000, 1),
            )
        return response
