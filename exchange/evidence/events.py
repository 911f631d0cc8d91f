"""Events as bytes: one line of JSON, keys sorted, no spaces, UTF-8.

Those exact bytes are stored, hashed, signed, exported and verified; nobody re-canonicalises. A field that
has nothing to say is left out. Free text and personal data never stand in an event: only `text_digest`.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType

from exchange.evidence.catalogue import CATALOGUE, EventType
from exchange.evidence.tiles import ENTRY_LIMIT
from exchange.evidence.tree import leaf_hash

__all__ = [
    "CATALOGUE",
    "FIELDS",
    "VERSION",
    "Actor",
    "Event",
    "EventType",
    "Reason",
    "decode",
    "encode",
    "example",
    "leaf_hash",
    "text_digest",
]

VERSION = 1
ACTORS = ("system", "person", "hub")
_TEXT_LIMIT = 500  # characters
_ORGAN_LIMIT = 64  # characters
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_INDEX_LIMIT = 1 << 53  # beyond it JSON readers round


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted. `id` names an account or system, never a person; `auth` says how it was authenticated."""

    kind: str
    id: str
    auth: str | None = None
    cert_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not: a code (words with dots), and the digest of the free text that somebody gave, if any."""

    code: str
    text_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the audit log; FIELDS says what each field means, CATALOGUE which of them a type has."""

    id: str
    event: str
    time: datetime
    actor: Actor
    issuer: str
    policy: str
    stream: str
    seq: int
    prev: str | None = None
    doc: str | None = None
    doc_no: str | None = None
    doc_sha256: str | None = None
    package: str | None = None
    delivery: str | None = None
    deliveries: tuple[str, ...] | None = None
    sender: str | None = None
    recipient: str | None = None
    reason: Reason | None = None
    status: str | None = None
    message: str | None = None
    digest: str | None = None
    what: str | None = None
    target: str | None = None
    rows: int | None = None
    filter_sha256: str | None = None
    indices: tuple[int, ...] | None = None
    checkpoint: str | None = None
    v: int = VERSION


def text_digest(salt: bytes, text: str) -> str:
    """SHA-256(salt ‖ text in UTF-8), in hex: all that an event may say about free text or a person."""
    return sha256(salt + text.encode()).hexdigest()


def encode(event: Event) -> bytes:
    """The bytes of `event`, without a newline. ValueError, naming the field, if it breaks its schema."""
    value = _plain(event)
    _validate(value)
    raw = _dump(value)
    if len(raw) > ENTRY_LIMIT:
        raise ValueError(f"{event.event}: {len(raw)} bytes, more than the {ENTRY_LIMIT} that a log entry has")
    return raw


def decode(raw: bytes) -> Event:
    """The event in `raw`. ValueError unless encoding it again gives the same bytes."""
    if len(raw) > ENTRY_LIMIT:
        raise ValueError("not an event: too long")
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not an event: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("not an event: not a JSON object")
    _validate(value)
    if _dump(value) != raw:
        raise ValueError("not an event: the bytes are not in the one form that the log writes")
    value["time"] = datetime.fromisoformat(value["time"])
    value["actor"] = Actor(**value["actor"])
    if "reason" in value:
        value["reason"] = Reason(**value["reason"])
    for name in {"deliveries", "indices"} & value.keys():
        value[name] = tuple(value[name])
    return Event(**value)


def _dump(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _plain(event: Event) -> dict[str, object]:
    value = _present(event)
    if event.time.utcoffset() is None:
        raise ValueError("time: has no zone")
    value["time"] = event.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    value["actor"] = _present(event.actor)
    if event.reason is not None:
        value["reason"] = _present(event.reason)
    return {name: list(item) if isinstance(item, tuple) else item for name, item in value.items()}


def _present(part: Event | Actor | Reason) -> dict[str, object]:
    # By slots: `fields` makes a new tuple with every call, and this is asked for every event.
    return {name: value for name in part.__slots__ if (value := getattr(part, name)) is not None}


# --- the schema -------------------------------------------------------------------------------------------

Check = Callable[[object], bool]


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _number(least: int) -> Check:
    return lambda value: type(value) is int and least <= value < _INDEX_LIMIT


def _text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_LIMIT and not _CONTROL.search(value)


def _organ_code(value: object) -> bool:
    """Codes of agencies are opaque: any 1–64 visible characters without spaces."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _ORGAN_LIMIT
        and not any(unicodedata.category(char)[0] in "CZ" for char in value)
    )


def _note(value: object) -> bool:
    return isinstance(value, str) and "\n\n— " in value and value.endswith("\n")


def _time(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value, re.A):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value)) and len(set(value)) == len(value)


def _increasing(value: object) -> bool:
    return isinstance(value, list) and bool(value) and _list_of(_number(0))(value) and sorted(value) == value


def _object(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    known = {**required, **optional}
    return lambda value: (
        isinstance(value, dict)
        and required.keys() <= value.keys() <= known.keys()
        and all(known[name](item) for name, item in value.items())
    )


_id = _matches(r"[0-9A-Za-z][0-9A-Za-z._:/-]{0,99}")
_hash = _matches(r"[0-9a-f]{64}")
_code = _matches(r"[a-z0-9]+([.-][a-z0-9]+)*")
_actor = _object({"kind": lambda value: value in ACTORS, "id": _id}, {"auth": _code, "cert_sha256": _hash})
_reason = _object({"code": _code}, {"text_sha256": _hash})

# name: (check, meaning, a value that fits)
_SCHEMA: Mapping[str, tuple[Check, str, object]] = {
    "v": (lambda value: type(value) is int and value == VERSION, "version of this format", VERSION),
    "id": (_id, "id of the event", "0193568e-2b7c-7d3a-9f10-5a6b7c8d9e0f"),
    "event": (lambda value: isinstance(value, str) and value in CATALOGUE, "type of the event", ""),
    "time": (_time, "when, by the hub's clock; UTC, microseconds", "2026-11-23T01:02:03.000004Z"),
    "doc": (_text, "DocumentId as the sender wrote it", "H29.1,2026/11/23,12/UBND-VX"),
    "doc_no": (_text, "number and notation of the document", "12/UBND-VX"),
    "doc_sha256": (_hash, "SHA-256 of the package as it came", "ab" * 32),
    "package": (_id, "id of the package", "0193568e-2b7c-7d3a-9f10-000000000001"),
    "delivery": (_id, "id of the delivery", "0193568e-2b7c-7d3a-9f10-000000000002"),
    "deliveries": (_list_of(_id), "every delivery made", ["0193568e-2b7c-7d3a-9f10-000000000002"]),
    "sender": (_organ_code, "code of the sending agency", "H29.1"),
    "recipient": (_organ_code, "code of the receiving agency", "H29.2"),
    "actor": (_actor, "who acted", {"kind": "system", "id": "qlvb-1", "auth": "oauth2"}),
    "reason": (_reason, "why not: code, and digest of the text given", {"code": ""}),
    "status": (_code, "edXML status code that said it", ""),
    "message": (_id, "id of the package that said it", "0193568e-2b7c-7d3a-9f10-000000000003"),
    "digest": (_hash, "SHA-256 that the event is about, see its meaning", "ab" * 32),
    "what": (_code, "what was changed, opened or exported", "agency.suspended"),
    "target": (_id, "name of the thing concerned", "H29.2"),
    "rows": (_number(0), "how many rows an export has", 42),
    "filter_sha256": (_hash, "digest of the filter of an export", "cd" * 32),
    "indices": (_increasing, "indices in the log, increasing", [7, 8]),
    "checkpoint": (_note, "a signed checkpoint as it is", "log/2025\n0\nAA==\n\n— log AA==\n"),
    "issuer": (_id, "the hub that says so", "hub.example"),
    "policy": (_id, "evidence policy of the hub", "hub.example/evidence-policy/1"),
    "stream": (_id, "the package, delivery or part of the hub that this is the history of", "hub"),
    "seq": (_number(1), "place in its stream, from 1", 1),
    "prev": (_hash, "leaf hash of the event before in its stream", "ef" * 32),
}
FIELDS: Mapping[str, str] = MappingProxyType({name: entry[1] for name, entry in _SCHEMA.items()})


def _validate(value: Mapping[str, object]) -> None:
    name = value.get("event")
    kind = CATALOGUE.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"event: no such type: {name!r}")
    _require(kind, kind.required - value.keys(), "is missing")
    _require(kind, value.keys() - kind.allowed, "does not belong here")
    _require(kind, {key for key, item in value.items() if not _SCHEMA[key][0](item)}, "is malformed")
    _require(kind, {"prev"} if (value["seq"] == 1) == ("prev" in value) else set(), "does not fit seq")
    _require(kind, _misfits(kind, value), "does not fit this type of event")


def _require(kind: EventType, names: set[str] | frozenset[str], complaint: str) -> None:
    if names:
        raise ValueError(f"{kind.name}: {', '.join(sorted(map(str, names)))} {complaint}")


def _misfits(kind: EventType, value: Mapping[str, object]) -> set[str]:
    misfits = set()
    reason = value.get("reason")
    if isinstance(reason, dict) and reason["code"].partition(".")[0] not in kind.reasons:
        misfits.add("reason")
    if "status" in value and value["status"] not in kind.statuses:
        misfits.add("status")
    if kind.name == "ContentHandover" and value["digest"] != value["doc_sha256"]:
        misfits.add("digest")
    return misfits


def example(name: str) -> Event:
    """A valid event of the type `name`, with every field that the type may have."""
    kind = CATALOGUE[name]
    value = {key: _SCHEMA[key][2] for key in kind.allowed - {"prev"}}
    value["event"] = name
    if kind.reasons:
        value["reason"] = {"code": f"{kind.reasons[0]}.example"}
    if kind.statuses:
        value["status"] = kind.statuses[0]
    return decode(_dump(value))
