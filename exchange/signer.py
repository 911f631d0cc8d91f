"""The guarded signer of log heads: it remembers, outside the database, what it signed last.

It signs nothing that does not extend that. A database that was rolled back or rewritten therefore stops
the log instead of forking it. The memory is one file beside the keys, written and flushed before a
signature leaves this module; never put it into the database's backup.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from django.conf import settings

from exchange import keys
from exchange.evidence import checkpoint as heads
from exchange.evidence.checkpoint import Checkpoint, VerifierKey
from exchange.evidence.prove import Nodes, consistency
from exchange.evidence.tree import Broken, check_consistency


class SignerRefused(Exception):
    """This head does not extend what was signed last: the database was rolled back or altered."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What the signer knows of one log: its key, and the head signed last ("" before the first)."""

    origin: str
    key: str
    note: str = ""

    @property
    def head(self) -> Checkpoint | None:
        """The head signed last. Raises Broken when the memory itself was altered."""
        if not self.note:
            return None
        return heads.verify(self.note.encode(), [VerifierKey.parse(self.key)]).checkpoint


def memory() -> list[Signed]:
    """Every log that this signer opened, in order; only the last one may grow. Raises SignerRefused."""
    try:
        return [Signed(**item) for item in json.loads(_path().read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise SignerRefused(f"{_path()} cannot be read: {error}") from error


def last_note() -> str:
    """The checkpoint signed last, of whatever log; "" when nothing was signed yet."""
    return next((item.note for item in reversed(memory()) if item.note), "")


def open_log(origin: str, *, at: datetime, after: str, nodes: Nodes | None, forced: bool = False) -> str:
    """Let a new log begin after the checkpoint `after` ("" for none) and return the key of the new log.

    `nodes` are those of the tree under `after`. `forced` is an operator's decision after an incident: the
    log then need not continue what was signed. Raises SignerRefused.
    """
    with _alone():
        known = memory()
        key = str(heads.verifier_key(origin, keys.log_key(at)))
        if known and known[-1].origin == origin and not known[-1].note:
            known = known[:-1]  # the transaction that opened it failed, and is done again
        if any(item.origin == origin for item in known):
            raise SignerRefused(f"the log {origin} was opened before: this database does not know it")
        if not forced:
            _check_follows(after, known, nodes)
        _remember([*known, Signed(origin, key)])
    return key


def check(head: Checkpoint, nodes: Nodes) -> None:
    """Raise SignerRefused unless `head` would be signed."""
    _check(head, memory(), nodes)


def sign(head: Checkpoint, nodes: Nodes) -> str:
    """The signed checkpoint of `head`, remembered durably first; `nodes` are those of its tree.

    Again for the same head: the same note. Raises SignerRefused.
    """
    with _alone():
        known = memory()
        current = _check(head, known, nodes)
        if current.head == head:
            return current.note
        note = heads.sign(head, _private(current)).decode()
        _remember([*known[:-1], replace(current, note=note)])
    return note


def _check(head: Checkpoint, known: Sequence[Signed], nodes: Nodes) -> Signed:
    """The memory of the log of `head`, which must be the one opened last."""
    if not known or known[-1].origin != head.origin:
        raise SignerRefused(f"the log {head.origin} is not the one that was opened last")
    _check_extends(known[-1], head, nodes)
    return known[-1]


def _check_extends(last: Signed, head: Checkpoint, nodes: Nodes) -> None:
    try:
        if (old := last.head) is None:
            return
        proof = consistency(old.size, head.size, nodes) if old.size <= head.size else []
        check_consistency(old.size, old.root, head.size, head.root, proof)
    except Broken as error:
        raise SignerRefused(f"{head.origin}: {error}") from error


def _check_follows(after: str, known: Sequence[Signed], nodes: Nodes | None) -> None:
    """The checkpoint that a new log carries must be the last one signed, or extend it."""
    last = next((item for item in reversed(known) if item.note), None)
    if (last.note if last else "") == after:
        return
    try:
        head = heads.verify(after.encode(), [VerifierKey.parse(last.key)]).checkpoint if last else None
    except Broken as error:
        raise SignerRefused(f"a new log must follow the last checkpoint signed: {error}") from error
    if last is None or head is None or nodes is None:
        raise SignerRefused("a new log follows a checkpoint that this signer never saw")
    _check_extends(last, head, nodes)


def _private(log: Signed) -> keys.LogKey:
    for key in keys.log_keys():
        if str(heads.verifier_key(log.origin, key)) == log.key:
            return key
    raise SignerRefused(f"the key of the log {log.origin} is not among the hub's keys")


# --- the file -----------------------------------------------------------------------------------------


def _path() -> Path:
    directory: Path = settings.ENVIRONMENT.keys
    return directory / "log.signed"


@contextmanager
def _alone() -> Iterator[None]:
    """One signer at a time on this machine."""
    _path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _path().with_suffix(".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remember(known: Sequence[Signed]) -> None:
    temporary = _path().with_suffix(".signed-new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump([asdict(item) for item in known], file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(_path())
    directory = os.open(_path().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
