"""What happens to every request and answer of the web process: who really calls, and what browsers may do.

Behind a proxy the peer of a connection is the proxy. What it says of the caller (`X-Forwarded-For`,
`X-Forwarded-Proto`, the TLS client certificate) is believed if its address is in HUB_TRUSTED_PROXIES, and
removed otherwise: nothing behind these middlewares can mistake a caller's word for the proxy's.
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

Answer = Callable[[HttpRequest], HttpResponseBase]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CERTIFICATE = "HUB_CLIENT_CERTIFICATE"
"""Where in `request.META` the SHA-256 of the caller's TLS certificate stands; the name no header can have."""
_PROXY_ONLY = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_SSL_CLIENT_CERT",
)


class ProxyMiddleware:
    """Makes `REMOTE_ADDR` the address of the caller, and the proxy's headers trustworthy or absent."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        meta = request.META
        trusted = _networks(tuple(settings.ENVIRONMENT.trusted_proxies))
        if _in(meta.get("REMOTE_ADDR", ""), trusted):
            meta["REMOTE_ADDR"] = _caller(meta["REMOTE_ADDR"], meta.get("HTTP_X_FORWARDED_FOR", ""), trusted)
            meta[CERTIFICATE] = _fingerprint(meta.get("HTTP_X_SSL_CLIENT_CERT", ""))
        else:
            for name in _PROXY_ONLY:
                meta.pop(name, None)
        return self.get_response(request)


def _caller(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The nearest address that is not a proxy's own: what stands left of it is only the caller's word."""
    caller = peer
    for text in reversed([item.strip() for item in forwarded.split(",") if item.strip()]):
        if not _is_address(text):
            break
        caller = text
        if not _in(text, trusted):
            break
    return caller


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _in(text: str, networks: tuple[Network, ...]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)


@lru_cache(maxsize=4)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def _fingerprint(escaped_pem: str) -> str:
    """SHA-256 of the certificate in nginx's `$ssl_client_escaped_cert`; empty without one."""
    try:
        return sha256(PEM_cert_to_DER_cert(unquote(escaped_pem))).hexdigest() if escaped_pem else ""
    except ValueError:
        return ""


# --- what a browser may do with an answer -------------------------------------------------------------

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Swagger UI writes style attributes. The admin's Alpine.js evaluates the expressions in its templates, which
# needs 'unsafe-eval'; scripts still come from this hub's own files only.
_DOCS = _PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_ADMIN = _DOCS.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")


class PolicyMiddleware:
    """Answers with a Content-Security-Policy: that of the admin, of a page, or of what is no page at all."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", _policy(request.path_info, response))
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response


def _policy(path: str, response: HttpResponseBase) -> str:
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return _NOTHING
    if path.startswith("/admin/"):
        return _ADMIN
    return _DOCS if path.startswith("/api/v1/docs/") else _PAGE
