"""Read-only mode at the door: a clear 503 for every request that would move a document."""

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from exchange import mode
from exchange.api import problems
from exchange.refusals import Refused

_LOOKING = ("GET", "HEAD", "OPTIONS")
# Listing an inbox may lease, and fetching content counts as serving it: a recall asks from then on.
_SERVES = re.compile(r"^/api/v1/(inbox|(packages|deliveries)/[^/]+/content)$")
_CLIENTS_OF_THE_AXIS = tuple(f"/{path.strip('/')}/" for path in settings.ENVIRONMENT.vxp_paths if path != "-")
_SIGNING_IN = re.compile(r"^/(oauth/token|admin/(login|logout)/|i18n/.*)$")


class StandstillMiddleware:
    """Maintenance is refused by the stage that takes packages; this is about read-only mode alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if _moves(request):
            try:
                mode.check_moving()
            except Refused as refused:
                return problems.answer(request, refused)
        return self.get_response(request)


def _moves(request: HttpRequest) -> bool:
    if request.path_info.startswith(_CLIENTS_OF_THE_AXIS):
        return False  # they are told by that face, in the only words that they read
    if request.method in _LOOKING:
        return bool(_SERVES.match(request.path_info))
    return not _SIGNING_IN.match(request.path_info)
