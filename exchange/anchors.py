"""Anchors of the log outside the hub: time stamps and witnesses; and this hub as a witness for others.

All of it is off until the settings name an authority (`HUB_TSA_URL`), witnesses (`HUB_WITNESSES`) or logs
to vouch for (`HUB_WITNESSED`). A party that does not answer holds up nothing: the log goes on, and `late`
says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from exchange import keys, proofs, timestamp, transport
from exchange.evidence import checkpoint as heads
from exchange.evidence import tiles, witness
from exchange.evidence.checkpoint import VerifierKey
from exchange.evidence.prove import consistency
from exchange.evidence.tree import Broken
from exchange.models import Anchor, AnchorKind, Checkpoint, Log, WitnessedLog

PATIENCE = timedelta(minutes=10)
"""How long a party may keep the log waiting, beyond the interval of the settings, before that is an alarm."""

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody outside who is asked: a time-stamp authority or a witness. `key` is that of a witness."""

    kind: AnchorKind
    url: str
    every: timedelta
    key: VerifierKey | None = None

    @property
    def name(self) -> str:
        """As it stands in `Anchor.by`."""
        return str(self.key) if self.key else self.url


def parties() -> list[Party]:
    """Whom the settings name; nobody by default. Raises Broken or OSError for a file that cannot be used."""
    environment = settings.ENVIRONMENT
    every = timedelta(minutes=environment.tsa_minutes)
    found = [Party(AnchorKind.TIME_STAMP, environment.tsa_url, every)] if environment.tsa_url else []
    lines = environment.witnesses.read_text(encoding="utf-8") if environment.witnesses else ""
    for line in filter(None, (line.strip() for line in lines.splitlines())):
        key, _, url = line.partition(" ")
        found.append(Party(AnchorKind.WITNESS, url.strip(), timedelta(), VerifierKey.parse(key)))
    return found


def witnessed() -> list[VerifierKey]:
    """The keys of the logs that this hub vouches for; none by default. Raises Broken, OSError."""
    path = settings.ENVIRONMENT.witnessed
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    return [VerifierKey.parse(line) for line in lines if line.strip()]


# --- asking others ------------------------------------------------------------------------------------


def anchor(now: datetime) -> int:
    """Ask every party that is due to vouch for the newest checkpoint; returns how many did."""
    current = Log.objects.current()
    head = current.last_checkpoint() if current else None
    if current is None or head is None:
        return 0
    made = 0
    for party in parties():
        last = _last(current, party)
        # A head signed in the future was signed before the clock was set back: that says nothing of now.
        rests = bool(last and timedelta() <= now - last.checkpoint.signed_at < party.every)
        if rests or (last and last.checkpoint.size == head.size):
            continue
        try:
            made += _ask(party, current, head, last)
        except (Broken, OSError) as error:
            _logger.error("anchor_failed", kind=party.kind, url=party.url, error=str(error))
    return made


def _last(log: Log, party: Party) -> Anchor | None:
    """The newest checkpoint of `log` that `party` vouched for."""
    made = Anchor.objects.filter(checkpoint__log=log, kind=party.kind, by=party.name)
    return made.select_related("checkpoint").order_by("-checkpoint__size").first()


def _ask(party: Party, log: Log, head: Checkpoint, last: Anchor | None) -> int:
    """Raises Broken when the answer does not hold, OSError when there is none."""
    if party.key is None:
        at, value = _time_stamp(party, head.note.encode())
    else:
        at, value = _cosignature(party, party.key, log, head, last.checkpoint.size if last else 0)
    Anchor.objects.create(checkpoint=head, kind=party.kind, by=party.name, at=at, value=value)
    return 1


def _time_stamp(party: Party, note: bytes) -> tuple[datetime, bytes]:
    asked = timestamp.query(note)
    answer = transport.submit(party.url, asked.raw, timestamp.REQUEST_TYPE)
    if answer.status != 200:
        raise Broken(f"the authority answered HTTP {answer.status}")
    token = timestamp.accept(answer.body, note, asked, keys.certificates(settings.ENVIRONMENT.tsa_ca))
    return token.at, token.raw


def _cosignature(
    party: Party, key: VerifierKey, log: Log, head: Checkpoint, old: int
) -> tuple[datetime, bytes]:
    """Asked once more when the witness knows another size than this hub remembers."""
    note, nodes = head.note.encode(), tiles.nodes(head.size, proofs.reader(log))

    def submit(size: int) -> transport.Submitted:
        if size > head.size:
            raise Broken(f"the witness knows {size} events of a log that has {head.size}")
        asked = witness.Request(size, tuple(consistency(size, head.size, nodes)), note)
        return transport.submit(f"{party.url.rstrip('/')}/add-checkpoint", bytes(asked), "text/plain")

    answer = submit(old)
    if answer.status == 409 and answer.body.strip().isdigit():
        answer = submit(int(answer.body))
    if answer.status != 200:
        raise Broken(f"the witness answered HTTP {answer.status}: {answer.body[:200]!r}")
    [signature, *_] = witness.cosignatures(note, answer.body, key)
    at = heads.check_cosignature(key, heads.Note.parse(note).text, signature.value)
    return datetime.fromtimestamp(at, UTC), signature.line().encode()


def verify(made: Anchor) -> None:
    """Broken unless what is stored of `made` holds over its checkpoint. A token can only be checked where the
    authority's certificates are configured."""
    note = made.checkpoint.note.encode()
    if made.kind == AnchorKind.TIME_STAMP:
        if settings.ENVIRONMENT.tsa_ca:
            timestamp.verify(bytes(made.value), note, keys.certificates(settings.ENVIRONMENT.tsa_ca))
        return
    witness.cosignatures(note, bytes(made.value), VerifierKey.parse(made.by))


def late(now: datetime) -> Iterator[str]:
    """The parties that are on and have not vouched for what was signed long ago."""
    current = Log.objects.current()
    if current is None:
        return
    for party in parties():
        last = _last(current, party)
        behind = Checkpoint.objects.filter(log=current, size__gt=last.checkpoint.size if last else 0)
        oldest = behind.order_by("size").values_list("signed_at", flat=True).first()
        if oldest and now - oldest > party.every + PATIENCE:
            yield f"{party.kind} {party.url}: {oldest:%F %T}Z"


# --- vouching for others ------------------------------------------------------------------------------


def own_witness_key() -> VerifierKey:
    """The key under which this hub vouches for the logs of others."""
    return heads.verifier_key(_witness_name(), keys.witness_key(), heads.WITNESS)


def cosign(raw: bytes, now: datetime) -> str:
    """The signature line of this hub as a witness on the checkpoint in the request `raw`, once it is
    remembered as the newest one of its log. Raises witness.Declined."""
    try:
        request = witness.Request.parse(raw)
        origin = witness.origin_of(request)
    except Broken as error:
        raise witness.Declined(400, str(error)) from error
    known = [key for key in witnessed() if key.name == origin]
    if not known:
        raise witness.Declined(404, f"this witness does not know the log {origin}")
    with transaction.atomic():
        first = {"root": b"", "at": now}
        row, _ = WitnessedLog.objects.select_for_update().get_or_create(origin=origin, defaults=first)
        last = heads.Checkpoint(origin, row.size, bytes(row.root)) if row.size else None
        head = witness.judge(request, known, last)
        row.size, row.root, row.note, row.at = head.size, head.root, request.note.decode(), now
        row.save()
    signed = heads.cosign(request.note, keys.witness_key(), _witness_name(), int(now.timestamp()))
    return signed.line()


def _witness_name() -> str:
    return f"{settings.ENVIRONMENT.code}/witness"
