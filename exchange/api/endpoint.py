"""What every view of the native API has in common."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags, quote_etag
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from exchange.api.authentication import Principal
from exchange.body import announced
from exchange.refusals import Refused

MAX_JSON = 64 * 1024


class OneRepresentation(BaseContentNegotiation):
    """An endpoint answers in its one media type, whatever `Accept` says (RFC 9110, 12.4.1 allows it)."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first renderer."""
        first = next(iter(renderers))
        return first, str(first.media_type)

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The JSON parser for JSON; None (415) for anything else."""
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)


class JsonBody(JSONParser):
    """JSON; nested too deeply it is refused like any other text that is none."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """The value. Raises ParseError."""
        try:
            return super().parse(*args, **kwargs)
        except RecursionError as error:
            raise ParseError("nested too deeply") from error


class Endpoint(APIView):
    """A view of the API. `required_scope` names, for each method, the scopes of which a token needs one."""

    required_scope: Mapping[str, Sequence[str]] = {}
    http_method_names = ["get", "post"]
    renderer_classes = [JSONRenderer]
    parser_classes = [JsonBody]
    content_negotiation_class = OneRepresentation

    @property
    def principal(self) -> Principal:
        """The authenticated system."""
        principal: Principal = self.request.user  # type: ignore[assignment]
        return principal

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """No shared cache may keep what is one system's; every answer tells what is left of its limit."""
        made = super().finalize_response(request, response, *args, **kwargs)
        user = getattr(request, "_user", None)  # `request.user` would authenticate again what was refused
        if isinstance(user, Principal) and user.credit:
            user.credit.tell(made)
        if not made.has_header("Cache-Control"):
            patch_cache_control(made, private=True, no_cache=True)
        return made


class Input(serializers.Serializer[Any]):
    """What a client may say in a query or a body; an unknown name is refused, not ignored.

    A misspelt filter that is ignored would answer a question nobody asked.
    """

    def to_internal_value(self, data: Any) -> Any:
        """The checked values of `data`, or ValidationError naming every unknown field."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            raise serializers.ValidationError(dict.fromkeys(unknown, "unknown"))
        return super().to_internal_value(data)


def read(kind: type[Input], data: Any) -> dict[str, Any]:
    """The checked values of `data`. Raises ValidationError."""
    given = kind(data=data)
    given.is_valid(raise_exception=True)
    values: dict[str, Any] = given.validated_data
    return values


def posted(kind: type[Input], request: Request) -> dict[str, Any]:
    """The checked values of the JSON body. Raises ParseError, ValidationError; Refused package.too-large."""
    length = announced(request._request) or 0
    # The framework reads a whole body into memory before its parser sees any of it. Without a length it
    # reads nothing.
    if length > MAX_JSON:
        raise Refused("package.too-large", size=length, limit=MAX_JSON)
    return read(kind, request.data)


def conditional(request: Request, data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """`data` with its ETag, or 304 when the client has it already (RFC 9110, 13.1.2)."""
    etag = quote_etag(sha256(JSONRenderer().render(data)).hexdigest()[:32])
    sent = {**(headers or {}), "ETag": etag}
    if has_current(request, etag):
        return Response(status=304, headers=sent)
    return Response(data, headers=sent)


def has_current(request: Request, etag: str) -> bool:
    """Whether `If-None-Match` names `etag` (weak comparison) or `*`."""
    named = [item.removeprefix("W/") for item in parse_etags(request.headers.get("If-None-Match", ""))]
    return "*" in named or etag in named
