"""No NUL character comes in by a query or a cookie: PostgreSQL cannot hold one, so no row has one."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse


class NulMiddleware:
    """Answers 400 where a NUL would otherwise become an error of the database, on every page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer. Raises BadRequest."""
        query = request.META.get("QUERY_STRING", "")
        if "%00" in query or any("\x00" in text for text in request.COOKIES.values()):
            raise BadRequest("NUL")
        return self.get_response(request)
