"""The token endpoint (RFC 6749, 4.4: client credentials). No other page of the OAuth library is served."""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views.base import TokenView

from agencies.directory import Credential
from exchange import door, registry, siem
from exchange.body import announced
from exchange.edge import CERTIFICATE
from exchange.refusals import Refused

MAX_FORM = 16 * 1024
_logger = structlog.get_logger(__name__)


class CredentialValidator(OAuth2Validator):
    """A credential gets the scopes it was given, and no others."""

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        """A NUL in a client id would be an error of the database, not an answer; it may be absent."""
        if not client_id or not client_id.isprintable():
            return None
        return super()._load_application(client_id, request)  # type: ignore[no-untyped-call]

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """The secret is right, and the caller is where its system may call from."""
        if not super().authenticate_client(request, *args, **kwargs):  # type: ignore[no-untyped-call]
            return False
        try:
            # The headers are Django's META, as the first middleware left it.
            address, certificate = (request.headers.get(name, "") for name in ("REMOTE_ADDR", CERTIFICATE))
            door.check_origin(request.client.system, address, certificate)
        except Refused as refused:
            _logger.warning("token_refused", client=request.client.client_id, why=str(refused))
            return False
        return True

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        """As the library does, and the credential shows when it was used last."""
        registry.used(request.client, now=timezone.now())
        return super().save_bearer_token(token, request, *args, **kwargs)  # type: ignore[no-untyped-call]

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Every scope asked for must be one of the credential's own."""
        return bool(scopes) and set(scopes) <= set(client.scope_list)

    def get_default_scopes(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        """Without a `scope` in the request: all of the credential's scopes (RFC 6749, 3.3)."""
        scopes: list[str] = request.client.scope_list
        return scopes


class CredentialTokenView(TokenView):
    """POST /oauth/token, the client authenticated by HTTP Basic or in the form body."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A token, or an error of RFC 6749, 5.2; the library's branch for the device flow is passed by."""
        try:
            too_long = (announced(request) or 0) > MAX_FORM
        except Refused:
            return JsonResponse({"error": "invalid_request"}, status=400)
        if too_long:
            return JsonResponse({"error": "invalid_request"}, status=413)
        client = _client_of(request)
        address, now = request.META.get("REMOTE_ADDR", ""), timezone.now()
        try:
            door.check_not_locked(client, address, now)
        except door.TooMany as refused:
            answer = JsonResponse({"error": "temporarily_unavailable"}, status=429)
            answer["Retry-After"] = str(refused.credit.seconds)
            siem.say("token.refused", client=client, why="locked")
            return answer
        response: HttpResponse = self.authorization_flow_token_response(request)
        if response.status_code == 401 and door.count_wrong_secret(client, address, now):
            _logger.warning("credential_locked", client=client, address=address)
        siem.say("token.issued" if response.status_code == 200 else "token.refused", client=client)
        return response


def _client_of(request: HttpRequest) -> str:
    """The known client that the request names; "" for any other, all of which count together.

    Names that nobody registered must not fill a table.
    """
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    named = request.POST.get("client_id", "")
    if scheme.lower() == "basic":
        try:
            named = unquote(b64decode(encoded).decode().partition(":")[0])
        except ValueError:
            return ""
    known = named.isprintable() and Credential.objects.filter(client_id=named).exists()
    return named if known else ""
