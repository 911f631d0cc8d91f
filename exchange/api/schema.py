"""What the OpenAPI description needs besides the shapes: problem answers, bodies, headers, and its pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from exchange.api.problems import MEDIA_TYPE
from exchange.api.shapes import ProblemSerializer
from exchange.body import MEDIA_TYPES
from exchange.refusals import CATALOGUE

PACKAGE_BODY = dict.fromkeys(MEDIA_TYPES, OpenApiTypes.BINARY)
CONTENT = {
    (200, "application/edxml+xml"): OpenApiTypes.BINARY,
    (206, "application/edxml+xml"): OpenApiTypes.BINARY,
    304: None,
}
SCOPES = {
    "send": "Gửi gói tin / send packages",
    "receive": "Nhận gói tin và trả lời / receive packages and answer them",
    "directory": "Đọc danh bạ cơ quan / read the directory of agencies",
    "audit": "Đọc nhật ký / read the log",
}
EVERYWHERE = (
    "auth.required",
    "auth.expired",
    "auth.scope",
    "auth.origin",
    "sender.suspended",
    "request.too-many",
    "hub.unavailable",
    "hub.seal-away",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="An ETag of an earlier answer: 304 if unchanged",
)
OF_PACKAGES = tuple(
    code
    for code in CATALOGUE
    if code.startswith(
        ("package.", "signature.", "certificate.", "sender.", "recipient.", "document.", "status.")
    )
)


def answers(good: Mapping[Any, Any], *codes: str) -> dict[Any, Any]:
    """The responses of an operation: `good`, and a problem for each status that `codes` may have."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*codes, *EVERYWHERE)):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {**good, **{(status, MEDIA_TYPE): _problem(by_status[status]) for status in sorted(by_status)}}


def _problem(codes: Sequence[str]) -> OpenApiResponse:
    return OpenApiResponse(
        ProblemSerializer, description=", ".join(f"`{code}`" for code in codes), examples=[_example(codes[0])]
    )


def _example(code: str) -> OpenApiExample:
    reason = CATALOGUE[code]
    value = {
        "type": f"/api/v1/problems/{code}",
        "title": reason.title_vi,
        "status": reason.status,
        "detail": reason.vi,
        "code": code,
        "errors": [{"code": code, "detail": reason.vi}],
        "request_id": "6f1c2f0e-6f0e-4c55-9d6b-0b8f5b7f4f7e",
    }
    return OpenApiExample(code, value, response_only=True)


class SchemaView(SpectacularAPIView):
    """GET /api/v1/schema/: OpenAPI 3.1, YAML or (?format=json) JSON."""


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/v1/docs/: Swagger UI from this hub's own files, its script apart from the page (CSP)."""

    url_name = "api-schema"

    @extend_schema(exclude=True)
    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """The page; Swagger's validator badge would send the address of the description to another host."""
        response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        shown = {**spectacular_settings.SWAGGER_UI_SETTINGS, "validatorUrl": None}
        if "settings" in response.data:
            response.data["settings"] = self._dump(shown)  # type: ignore[no-untyped-call]
        return response


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI description names the authentication."""

    target_class = "exchange.api.authentication.TokenAuthentication"
    name = "oauth2"

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        """The scopes of the operation described: any one of them will do."""
        wanted = getattr(auto_schema.view, "required_scope", {})
        return [{self.name: [scope]} for scope in wanted.get(auto_schema.method, ())]

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Client credentials at /oauth/token."""
        flow = {"tokenUrl": "/oauth/token", "scopes": SCOPES}
        return {"type": "oauth2", "flows": {"clientCredentials": flow}}


class NamedChoiceScheme(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """A choice is a component of its own, so that one set of values has one name."""

    target_class = "exchange.api.shapes.NamedChoice"

    def get_name(self) -> str:
        """The name of the component."""
        return str(self.target.name)

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """The values."""
        return {"type": "string", "enum": list(self.target.choices)}
