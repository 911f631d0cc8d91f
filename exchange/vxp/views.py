"""One view for the whole protocol: authenticate, find the call, answer; every refusal becomes JSON."""

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from exchange import mode
from exchange.refusals import Refused
from exchange.vxp import answers
from exchange.vxp.authentication import authenticate
from exchange.vxp.calls import CALLS

_logger = structlog.get_logger(__name__)


@csrf_exempt
def call(request: HttpRequest, name: str) -> HttpResponseBase:
    """Answer the call `name`; a client looks only at the JSON, so the HTTP status is 200 for a no as well."""
    found = CALLS.get(name)
    empty = found.empty if found else ""
    try:
        if found is None:
            raise Refused("request.not-found")
        if request.method != found.method:
            raise Refused("request.method", method=str(request.method))
        caller = authenticate(request, found.acted_on, timezone.now())
        if found.moves:
            mode.check_moving()
        return found.answer(caller, request)
    except Refused as refused:
        return answers.refused(refused, empty)
    except Exception:
        _logger.exception("vxp_call_failed", call=name)
        return answers.refused(Refused("hub.error"), empty)
