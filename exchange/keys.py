"""The hub's own keys, from files: the seal (receipts), the log key (checkpoints), the cipher of secrets.

The file of the seal may hold a `pkcs11:` address instead of the key, which then lies in a module (hsm.py).

An embedded hub makes them on its first start; a production hub must be given them (see checks.py). A key
file never changes. A rotation adds one whose name says from when on it is in force, such as
`seal-20270101T000000Z.pem`; so every process, now or later, takes the same key for the same event.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from django.conf import settings

from exchange import hsm

LogKey = Ed25519PrivateKey
ModuleFailed = hsm.ModuleFailed
_ECDSA = ec.ECDSA(hashes.SHA256())


class KeyMissing(Exception):
    """A key file is not there and this hub may not make it by itself."""


class KeyUnusable(Exception):
    """A key file does not hold what its name promises."""


class Unreadable(Exception):
    """A secret in the database was not encrypted under this hub's key."""


FAILURES = (KeyMissing, KeyUnusable, ModuleFailed)
"""Why there may be no seal."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The key under which the hub signs its receipts, with its certificate chain (leaf first)."""

    key: ec.EllipticCurvePrivateKey
    certificates: tuple[x509.Certificate, ...]

    @property
    def chain(self) -> list[bytes]:
        """The chain in DER, leaf first."""
        return [item.public_bytes(serialization.Encoding.DER) for item in self.certificates]

    @property
    def pem(self) -> bytes:
        """The chain in PEM, leaf first."""
        return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in self.certificates)

    def sign(self, data: bytes) -> bytes:
        """ECDSA over SHA-256 of `data`, in DER. Raises ModuleFailed."""
        return self.key.sign(data, _ECDSA)


def seal(at: datetime | None = None) -> Seal:
    """The hub's seal (P-256 with an X.509 certificate) in force at `at`, by default now.

    Raises KeyMissing, KeyUnusable, ModuleFailed.
    """
    name = _in_force("seal", ".pem", at or datetime.now(UTC))
    return _parse_seal(_read(name, _new_seal))


def log_key(at: datetime) -> LogKey:
    """The key that signs the heads of a log opened at `at`; raises KeyMissing, KeyUnusable."""
    return _parse_log_key(_read(_in_force("log", ".key", at), _new_log_key))


def log_keys() -> list[LogKey]:
    """Every log key that this hub has, the oldest first."""
    names = ["log.key", *_dated("log", ".key")]
    return [_parse_log_key(_read(name, _new_log_key)) for name in names if _path(name).exists()]


def add_seal(since: datetime, pem: bytes = b"") -> tuple[str, str]:
    """Put a seal in force from `since` on: key and certificates in `pem`, or a new self-signed one.

    Returns the file's name and the SHA-256 of the certificate. Raises KeyUnusable, ModuleFailed.
    """
    pem = pem or _new_seal()
    made = _parse_seal(pem)
    return _add(f"seal-{_stamp(since)}.pem", pem), fingerprint(made.certificates[0])


def add_log_key(since: datetime) -> tuple[str, str]:
    """Put a new log key in force from `since` on. Returns the file's name and SHA-256 of the public key."""
    pem = _new_log_key()
    public = _parse_log_key(pem).public_key().public_bytes_raw()
    return _add(f"log-{_stamp(since)}.key", pem), sha256(public).hexdigest()


def witness_key() -> LogKey:
    """The key under which this hub vouches for the logs of others; raises KeyMissing, KeyUnusable."""
    return _parse_log_key(_read("witness.key", _new_log_key))


def certificates(pem: Path | None) -> list[x509.Certificate]:
    """The certificates in a PEM file of the operator; raises KeyMissing, KeyUnusable."""
    try:
        return x509.load_pem_x509_certificates(pem.read_bytes() if pem else b"")
    except OSError as error:
        raise KeyMissing(f"{pem}: {error.strerror}") from error
    except ValueError as error:
        raise KeyUnusable(f"{pem}: {error}") from error


def make_missing() -> None:
    """Make the keys that are not there yet, as an operator's decision (`manage.py make_keys`)."""
    _store("seal.pem", _new_seal)
    _store("log.key", _new_log_key)
    _store("witness.key", _new_log_key)
    _store("secrets.key", Fernet.generate_key)


def encrypt(secret: bytes) -> bytes:
    """`secret` as it may stand in the database."""
    return _cipher().encrypt(secret)


def decrypt(stored: bytes) -> bytes:
    """The secret that `encrypt` made unreadable; raises Unreadable."""
    try:
        return _cipher().decrypt(stored)
    except InvalidToken as error:
        raise Unreadable from error


@cache
def _cipher() -> Fernet:
    return Fernet(_read("secrets.key", Fernet.generate_key).strip())


@cache
def _parse_seal(pem: bytes) -> Seal:
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
        public = certificates[0].public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise ValueError("its first certificate must have an EC key on P-256")
        key = _seal_key(pem, public)
        public.verify(key.sign(pem, _ECDSA), pem, _ECDSA)
    except ValueError as error:
        raise KeyUnusable(f"the seal: {error}") from error
    except InvalidSignature as error:
        raise KeyUnusable("the first certificate of the seal does not belong to its key") from error
    return Seal(key, certificates)


def _seal_key(pem: bytes, public: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePrivateKey:
    """The private key in `pem`, or the one in a module whose address stands there on a line."""
    lines = [line.strip() for line in pem.splitlines()]
    address = next((line for line in lines if line.startswith(hsm.SCHEME.encode())), b"")
    if address:
        return hsm.ModuleKey(hsm.Address.parse(address.decode()), public)
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("its key is not an EC key")
    return key


@cache
def _parse_log_key(pem: bytes) -> LogKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except ValueError as error:
        raise KeyUnusable(f"the log key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable("the log key must be an Ed25519 key")
    return key


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _dated(stem: str, suffix: str) -> list[str]:
    """The files of later keys, in the order in which they come into force."""
    directory: Path = settings.ENVIRONMENT.keys
    names = [path.name for path in directory.iterdir()] if directory.exists() else []
    return sorted(name for name in names if name.startswith(f"{stem}-") and name.endswith(suffix))


def _in_force(stem: str, suffix: str, at: datetime) -> str:
    begun = [name for name in _dated(stem, suffix) if name <= f"{stem}-{_stamp(at)}{suffix}"]
    return begun[-1] if begun else f"{stem}{suffix}"


def _add(name: str, pem: bytes) -> str:
    if _path(name).exists():
        raise KeyUnusable(f"{name} is there already")
    _store(name, lambda: pem)
    return name


def _path(name: str) -> Path:
    directory: Path = settings.ENVIRONMENT.keys
    return directory / name


def _read(name: str, make: Callable[[], bytes]) -> bytes:
    if not _path(name).exists():
        if not settings.ENVIRONMENT.embedded:
            raise KeyMissing(
                f"{_path(name)} is missing: run `manage.py make_keys` once, or put the key there"
            )
        _store(name, make)
    return _path(name).read_bytes()


def _store(name: str, make: Callable[[], bytes]) -> None:
    """Write a key file readable by its owner only; of several starting processes the first one wins."""
    path = _path(name)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(f".{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(make())
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def _new_seal() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{settings.ENVIRONMENT.code} seal")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem + certificate.public_bytes(serialization.Encoding.PEM)


def _new_log_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate in DER, as hex."""
    return sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
