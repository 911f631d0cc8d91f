"""A small client of the hub's own API, for commands: token, then one request (RFC 6749, 4.4)."""

import json
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

TIMEOUT_SECONDS = 60


class Failed(Exception):
    """The hub refused or could not be reached; the message is what it answered."""


class Client:
    """One system at one hub."""

    def __init__(self, base_url: str, client_id: str, client_secret: str) -> None:
        if urlsplit(base_url).scheme not in ("http", "https"):
            raise Failed(f"{base_url}: not an http(s) address")
        self._base_url = base_url.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret

    def send(self, raw: bytes, *, validate: bool = False) -> str:
        """POST the package `raw`, or only have it validated; the hub's JSON answer. Raises Failed."""
        path = "/api/v1/packages/validate" if validate else "/api/v1/packages"
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/edxml+xml"}
        return self._post(path, raw, headers)

    def _token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
        }
        answer = self._post("/oauth/token", urlencode(form).encode(), {})
        return str(json.loads(answer)["access_token"])

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> str:
        request = Request(self._base_url + path, data=body, headers=headers, method="POST")  # noqa: S310
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - scheme checked above
                return str(response.read().decode())
        except HTTPError as error:
            raise Failed(f"HTTP {error.code}: {error.read().decode('utf-8', 'replace')}") from error
        except (URLError, OSError) as error:
            raise Failed(f"{self._base_url}: {error}") from error
