"""The original bytes of a package as an answer, read from the vault while they are sent."""

from base64 import b64encode

from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from exchange import retention
from exchange.api.endpoint import has_current
from exchange.models import Package

MEDIA_TYPE = "application/edxml+xml"


def answer_bytes(request: Request, package: Package) -> HttpResponseBase:
    """The bytes with their digest (RFC 9530), or 304. The caller has asked whether they may be served.

    Raises Refused package.removed.
    """
    etag = f'"{package.sha256}"'
    digest = b64encode(bytes.fromhex(package.sha256)).decode()
    headers = {"ETag": etag, "Content-Digest": f"sha-256=:{digest}:"}
    if has_current(request, etag):
        return HttpResponse(status=304, headers=headers)
    return FileResponse(
        retention.open_content(package),
        as_attachment=True,
        filename=f"{package.id}.edxml",
        content_type=MEDIA_TYPE,
        headers={**headers, "Content-Length": str(package.size)},
    )
