"""The hub's seal inside a hardware security module (PKCS#11). The one home of `pkcs11`, imported when needed.

What a process has open is opened once and used under one lock. After an error everything is opened again,
once. A PIN that was refused is not tried again until its file says another: a token locks itself after a few.
"""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

import structlog
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from exchange.refusals import Refused

SCHEME = "pkcs11:"
RETRY_SECONDS = 60
_WHERE = {"token", "object", "id", "type"}
_HOW = {"module-path", "pin-source"}
_logger = structlog.get_logger(__name__)


class ModuleFailed(Refused):
    """The module does not sign now: hub.seal-away to whoever called; `str()` tells the operator why."""

    def __init__(self, why: str) -> None:
        super().__init__("hub.seal-away", seconds=RETRY_SECONDS)
        self.why = why

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Address:
    """Where a key lies: the library, the token's label, label or id of the key, the file with the PIN."""

    module: str
    token: str
    name: str | None
    id: bytes | None
    pin: Path

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """Read a URI of RFC 7512: `pkcs11:token=…;object=…?module-path=…&pin-source=file:…`.

        `id` may stand beside or instead of `object`. Raises ValueError, also for whatever else is in it:
        an attribute that is not understood must not be passed over (section 2.4), and a PIN is no address.
        """
        path, _, query = uri.removeprefix(SCHEME).partition("?")
        where, how = _pairs(path.split(";"), _WHERE), _pairs(query.split("&"), _HOW)
        missing = sorted(({"token"} - where.keys()) | (_HOW - how.keys()))
        if missing or not where.keys() & {"object", "id"}:
            raise ValueError(f"{SCHEME} … needs {', '.join(missing) or 'object or id'}")
        if where.get("type", b"private") != b"private":
            raise ValueError("the type of the key must be private")
        return cls(
            module=how["module-path"].decode(),
            token=where["token"].decode(),
            name=where["object"].decode() if "object" in where else None,
            id=where.get("id"),
            pin=Path(urlsplit(how["pin-source"].decode()).path),
        )


def _pairs(items: list[str], known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, _, value in (item.partition("=") for item in items):
        if name not in known or name in found:
            raise ValueError(f"{SCHEME} … may have {', '.join(sorted(known))} here, each once; not {name!r}")
        found[name] = unquote_to_bytes(value)
    return found


class ModuleKey(ec.EllipticCurvePrivateKey):
    """A private key on P-256 that never leaves its module; `public` is that of its certificate."""

    def __init__(self, address: Address, public: ec.EllipticCurvePublicKey) -> None:
        self._address, self._public = address, public

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        signature_algorithm: ec.EllipticCurveSignatureAlgorithm,
    ) -> bytes:
        """ECDSA over SHA-256 of `data`, in DER. The module chooses the random number: never twice the same.

        Raises ModuleFailed; ValueError for another hash.
        """
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise ValueError("a key in a module signs SHA-256 only")
        try:
            raw = _open.sign(self._address, sha256(data).digest())
        except ModuleFailed as failed:
            _logger.error("module_failed", why=failed.why)
            raise
        r, s = raw[: len(raw) // 2], raw[len(raw) // 2 :]
        return utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key of the certificate."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """256."""
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """A seal agrees on no keys."""
        self._inside()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Not outside the module."""
        self._inside()

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> bytes:
        """Not outside the module."""
        self._inside()

    def __copy__(self) -> "ModuleKey":
        return self

    def __deepcopy__(self, memo: object) -> "ModuleKey":
        return self

    def _inside(self) -> NoReturn:
        raise TypeError("this key lies in a module: it signs, and nothing else")


@dataclass(slots=True)
class _Open:
    """What this process has open, by the path of the library and the label of the token."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    modules: dict[str, Any] = field(default_factory=dict)
    sessions: dict[tuple[str, str], Any] = field(default_factory=dict)
    keys: dict[Address, Any] = field(default_factory=dict)
    refused: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def sign(self, address: Address, digest: bytes) -> bytes:
        """r and s of ECDSA over `digest`. Raises ModuleFailed."""
        pkcs11 = _library()
        with self.lock:
            try:
                if address in self.keys:
                    with suppress(pkcs11.PKCS11Error):  # its session was lost, perhaps: opened again below
                        return self._sign(address, digest)
                    self._forget(address.module)
                return self._sign(address, digest)
            except pkcs11.PKCS11Error as error:
                self._forget(address.module)
                place = f"{address.module}, token {address.token}"
                raise ModuleFailed(f"{place}: {type(error).__name__} {error}".strip()) from error

    def _sign(self, address: Address, digest: bytes) -> bytes:
        pkcs11 = _library()
        if address not in self.keys:
            self.keys[address] = self._session(address).get_key(
                object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=address.name, id=address.id
            )
        return bytes(self.keys[address].sign(digest, mechanism=pkcs11.Mechanism.ECDSA))

    def _session(self, address: Address) -> Any:
        """The session of this token, logged in."""
        place = (address.module, address.token)
        if place not in self.sessions:
            self.sessions[place] = self._log_in(place, address.pin)
        return self.sessions[place]

    def _log_in(self, place: tuple[str, str], file: Path) -> Any:
        pkcs11, pin = _library(), _pin(file)
        tried = sha256(pin.encode()).digest()
        if self.refused.get(place) == tried:
            raise ModuleFailed(f"the PIN in {file} was refused and is not tried again: correct it there")
        token = self._module(place[0]).get_token(token_label=place[1])
        if token.flags & (pkcs11.TokenFlag.USER_PIN_FINAL_TRY | pkcs11.TokenFlag.USER_PIN_LOCKED):
            raise ModuleFailed(f"the token {place[1]} is locked, or would be after one more wrong PIN")
        try:
            return token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # a login holds for all sessions of a process
            return token.open()
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked):
            self.refused[place] = tried
            raise

    def _module(self, path: str) -> Any:
        """The module, initialised in this process, anew where it was forgotten."""
        pkcs11 = _library()
        if path not in self.modules:
            module = pkcs11.lib(path)
            with suppress(pkcs11.PKCS11Error):  # a child of a fork has nothing to end
                module.finalize()
            module.initialize()
            self.modules[path] = module
        return self.modules[path]

    def _forget(self, module: str) -> None:
        """Everything open in `module`."""
        self.modules.pop(module, None)
        self.sessions = {place: item for place, item in self.sessions.items() if place[0] != module}
        self.keys = {address: item for address, item in self.keys.items() if address.module != module}


_open = _Open()


def _begin_in_child() -> None:
    """A child of a fork has nothing open: PKCS#11 does not live through one. Refused PINs stay refused."""
    global _open  # noqa: PLW0603
    _open = _Open(refused=_open.refused)


os.register_at_fork(after_in_child=_begin_in_child)


def _library() -> Any:
    try:
        return import_module("pkcs11")
    except ImportError as error:
        raise ModuleFailed("python-pkcs11 is not installed: pip install python-pkcs11") from error


def _pin(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModuleFailed(f"the PIN cannot be read: {error}") from error
