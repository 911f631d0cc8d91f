"""Signed heads of the log: C2SP signed-note, tlog-checkpoint and (for witnesses) tlog-cosignature.

    registry.example/log2026            origin: names the log for ever
    20852163                            how many events
    CsUYapGGPo4dkMgIAUqom/Xajj7h2f…     the root of their Merkle tree
                                        an empty line, then one line for every signature
    — registry.example/log2026 Az3grlgtzPICa5OS8npVmf1Myq/5I…

Only Ed25519 is known here: type 0x01 for the log, 0x04 (cosignature/v1, with a time) for witnesses. Every
other signature line is carried along and never counts.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exchange.evidence.tree import HASH, Broken

LOG, WITNESS = 0x01, 0x04
NOTE_LIMIT = 1 << 20  # bytes; sixteen of the longest known signatures have 80,000
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+]+")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that signs notes. `kind` is the signature type: LOG or WITNESS."""

    name: str
    public: bytes
    kind: int = LOG

    @property
    def id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ type ‖ key)[:4]."""
        return sha256(self.name.encode() + bytes([0x0A, self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        """The text form `name+hex key id+base64(type ‖ key)`."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read the text form. Broken if it is malformed, of another algorithm, or its key id is wrong."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        material = decode_base64(encoded)
        if not _NAME.fullmatch(name) or len(material) != 33 or material[0] not in {LOG, WITNESS}:
            raise Broken(f"not an Ed25519 verifier key: {text!r}")
        key = cls(name, material[1:], material[0])
        if key.id.hex() != key_id:
            raise Broken(f"the key id of {name} should be {key.id.hex()}, not {key_id}")
        return key


def verifier_key(name: str, key: Ed25519PrivateKey, kind: int = LOG) -> VerifierKey:
    """The public side of `key` under `name`. ValueError if the name may not stand in a note."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a key name has no spaces and no plus sign: {name!r}")
    return VerifierKey(name, key.public_key().public_bytes_raw(), kind)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line, with its newline."""
        return f"— {self.name} {b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text ending in a newline, and its signatures, none of them checked."""

    text: str
    signatures: tuple[Signature, ...]

    def __bytes__(self) -> bytes:
        return (self.text + "\n" + "".join(s.line() for s in self.signatures)).encode()

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a signed note. Broken if the form is not exactly that of c2sp.org/signed-note."""
        if len(raw) > NOTE_LIMIT:
            raise Broken("the note is too long")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Broken("the note is not UTF-8") from error
        text, separator, lines = whole.rpartition("\n\n")
        if not separator or not text or not lines.endswith("\n") or _CONTROL.search(whole):
            raise Broken("not a signed note")
        return cls(text + "\n", tuple(_signature(line) for line in lines[:-1].split("\n")))

    def added(self, signature: Signature) -> "Note":
        """The same note with one more signature, such as a witness returns."""
        return Note(self.text, (*self.signatures, signature))


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    value = decode_base64(encoded)
    if dash != "—" or not _NAME.fullmatch(name) or len(value) <= 4:
        raise Broken(f"not a signature line: {line!r}")
    return Signature(name, value[:4], value[4:])


def decode_base64(text: str) -> bytes:
    """Standard base64 in its one canonical form. Broken otherwise."""
    try:
        value = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise Broken(f"not base64: {text[:80]!r}") from error
    if b64encode(value).decode() != text:
        raise Broken(f"not canonical base64: {text[:80]!r}")
    return value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: `size` events give the Merkle root `root`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The note text. ValueError if a field does not fit the format."""
        lines = [self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions]
        if not all(lines) or any("\n" in line for line in lines) or self.size < 0 or len(self.root) != HASH:
            raise ValueError("a checkpoint is an origin, a size, a root of 32 bytes and non-empty lines")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note text. Broken if it is not of the form of c2sp.org/tlog-checkpoint."""
        lines = text.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines) or not _DECIMAL.fullmatch(lines[1]):
            raise Broken("not a checkpoint")
        root = decode_base64(lines[2])
        if len(root) != HASH:
            raise Broken("the root of the checkpoint is not a SHA-256 hash")
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:]))


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose signature by the log holds. `witnesses`: name -> Unix time of its cosignature."""

    checkpoint: Checkpoint
    log_key: VerifierKey
    witnesses: dict[str, int] = field(default_factory=dict)


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey, name: str = "") -> bytes:
    """The signed note. `name` is the name of the key, by default the origin, as the specification advises.

    The caller answers for never signing a head that does not extend the one it signed last.
    """
    public = verifier_key(name or checkpoint.origin, key)
    text = checkpoint.text()
    return bytes(Note(text, (Signature(public.name, public.id, key.sign(text.encode())),)))


def cosign(raw: bytes, key: Ed25519PrivateKey, name: str, now: int) -> Signature:
    """What a witness adds to a checkpoint that it found consistent at Unix time `now` (cosignature/v1)."""
    public = verifier_key(name, key, WITNESS)
    value = key.sign(_cosigned(Note.parse(raw).text, now))
    return Signature(name, public.id, now.to_bytes(8, "big") + value)


def _cosigned(text: str, now: int) -> bytes:
    return f"cosignature/v1\ntime {now}\n{text}".encode()


def verify(raw: bytes, log_keys: Collection[VerifierKey], witnesses: Sequence[VerifierKey] = ()) -> Opened:
    """Check a signed checkpoint; `log_keys` may hold older keys of the same log.

    Broken if no log key signed it, if any known key's signature fails, or if the key belongs to another log.
    """
    note = Note.parse(raw)
    known = {(key.name, key.id): key for key in (*log_keys, *witnesses)}
    signers: list[VerifierKey] = []
    times: dict[str, int] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if key.kind == WITNESS:
            times[key.name] = check_cosignature(key, note.text, signature.value)
        else:
            _check(key, note.text.encode(), signature.value)
            signers.append(key)
    checkpoint = Checkpoint.parse(note.text)
    for key in signers:
        if key.name == checkpoint.origin:
            return Opened(checkpoint, key, times)
    raise Broken(f"no trusted key of the log {checkpoint.origin} signed the checkpoint")


def _check(key: VerifierKey, message: bytes, value: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(value, message)
    except InvalidSignature as error:
        raise Broken(f"the signature of {key.name} on the checkpoint is wrong") from error


def check_cosignature(key: VerifierKey, text: str, value: bytes) -> int:
    """The Unix time of the cosignature `value` by the witness `key` on the note `text`. Broken if wrong."""
    now = int.from_bytes(value[:8], "big")
    if now >> 63:
        raise Broken(f"the cosignature of {key.name} has no possible time")
    _check(key, _cosigned(text, now), value[8:])
    return now
