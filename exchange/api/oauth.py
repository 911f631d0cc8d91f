"""The token endpoint (RFC 6749, 4.4: client credentials). No other page of the OAuth library is served."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views.base import TokenView

from exchange.api.body import announced
from exchange.refusals import Refused

MAX_FORM = 16 * 1024


class CredentialValidator(OAuth2Validator):
    """A credential gets the scopes it was given, and no others."""

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        """A NUL in a client id would be an error of the database, not an answer; it may be absent."""
        if not client_id or not client_id.isprintable():
            return None
        return super()._load_application(client_id, request)  # type: ignore[no-untyped-call]

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
        response: HttpResponse = self.authorization_flow_token_response(request)
        return response
