"""Witnessing of logs: c2sp.org/tlog-witness, the request `add-checkpoint` and what a witness must check.

old 20852014                        the size that the witness cosigned last, as far as the log knows
<base64 hash>                       a consistency proof from there, line by line
                                    an empty line, then the signed checkpoint as it is
"""

import re
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass

from exchange.evidence import checkpoint as heads
from exchange.evidence.checkpoint import Checkpoint, Note, Signature, VerifierKey
from exchange.evidence.tree import EMPTY_ROOT, HASH, Broken, check_consistency

LIMIT = 1 << 16  # bytes of a request
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_MOST = 63  # hashes of a proof


class Declined(Exception):
    """A witness does not cosign: the HTTP status of the specification, the size it knows for 409, and why."""

    def __init__(self, status: int, why: str, size: int | None = None) -> None:
        super().__init__(why)
        self.status, self.size = status, size


@dataclass(frozen=True, slots=True)
class Request:
    """A checkpoint (`note`, as it was signed) with the proof that it extends the one of size `old`."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def __bytes__(self) -> bytes:
        lines = [f"old {self.old}", *(b64encode(step).decode() for step in self.proof)]
        return "\n".join([*lines, "", ""]).encode() + self.note

    @classmethod
    def parse(cls, raw: bytes) -> "Request":
        """Read a request; nothing is verified yet. Broken if it is not exactly of that form."""
        head, separator, note = raw.partition(b"\n\n")
        first, *lines = head.decode("utf-8", "replace").split("\n")
        match = _OLD.fullmatch(first)
        proof = tuple(heads.decode_base64(line) for line in lines)
        if not separator or match is None or len(proof) > _MOST or any(len(step) != HASH for step in proof):
            raise Broken("not a request to cosign a checkpoint")
        return cls(int(match[1]), proof, note)


def origin_of(request: Request) -> str:
    """The log that the checkpoint is of, not verified. Broken if it is no checkpoint."""
    return Checkpoint.parse(Note.parse(request.note).text).origin


def judge(request: Request, keys: Collection[VerifierKey], last: Checkpoint | None) -> Checkpoint:
    """The checkpoint to cosign: signed by one of the log's `keys`, and an extension of `last`, which the
    witness cosigned last. Raises Declined."""
    try:
        head = heads.verify(request.note, keys).checkpoint
    except Broken as error:
        raise Declined(403, str(error)) from error
    known, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
    if request.old > head.size:
        raise Declined(400, f"the old size {request.old} is beyond the checkpoint's {head.size}")
    if request.old != known:
        raise Declined(409, f"cosigned last at size {known}", known)
    if head.size == known and head.root != root:
        raise Declined(409, f"another log of {known} events was cosigned", known)
    try:
        if request.old == 0 and request.proof:
            raise Broken("the proof from size 0 is not empty")
        if request.old:
            check_consistency(known, root, head.size, head.root, request.proof)
    except Broken as error:
        raise Declined(422, str(error)) from error
    return head


def cosignatures(note: bytes, answer: bytes, key: VerifierKey) -> list[Signature]:
    """The signatures by the witness `key` on `note` in its `answer`. Broken if there is none that holds."""
    signed = Note.parse(note)
    added = Note.parse((signed.text + "\n").encode() + answer).signatures
    found = [item for item in added if (item.name, item.key_id) == (key.name, key.id)]
    if not found:
        raise Broken(f"the answer has no cosignature of {key.name}")
    for item in found:
        heads.check_cosignature(key, signed.text, item.value)
    return found
