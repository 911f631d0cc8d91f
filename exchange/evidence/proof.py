"""Proof that one event stands in the log: the text format c2sp.org/tlog-proof@v1.

c2sp.org/tlog-proof@v1
extra <base64>                      optional, not authenticated; this hub never writes it
index 73894
<base64 hash>                       the inclusion path, sibling of the leaf first
                                    an empty line, then the signed checkpoint as it is
"""

import re
from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from exchange.evidence import checkpoint as heads
from exchange.evidence.tree import HASH, Broken, check_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Proof:
    """`path` leads from the leaf at `index` to the root in `checkpoint`, the signed note byte for byte."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __str__(self) -> str:
        """The text form; it ends as the checkpoint ends, in a newline."""
        extra = [] if self.extra is None else [f"extra {b64encode(self.extra).decode()}"]
        path = [b64encode(step).decode() for step in self.path]
        return "\n".join([HEADER, *extra, f"index {self.index}", *path, "", self.checkpoint.decode()])

    @classmethod
    def parse(cls, text: str) -> "Proof":
        """Read the text form. Broken if it is not exactly that; nothing is verified yet."""
        head, _, note = text.partition("\n\n")
        lines = head.split("\n")
        if lines.pop(0) != HEADER or not lines:
            raise Broken(f"not a proof: it does not begin with {HEADER}")
        extra = None
        if lines[0].startswith("extra "):
            extra = heads.decode_base64(lines.pop(0).removeprefix("extra "))
        word, _, index = lines[0].partition(" ") if lines else ("", "", "")
        path = tuple(heads.decode_base64(line) for line in lines[1:])
        malformed = word != "index" or not _NUMBER.fullmatch(index)
        if malformed or len(path) > 64 or any(len(step) != HASH for step in path):
            raise Broken("not a proof: the index or the inclusion path is malformed")
        return cls(int(index), path, note.encode(), extra)

    def verify(
        self,
        leaf: bytes,
        log_keys: Collection[heads.VerifierKey],
        witnesses: Sequence[heads.VerifierKey] = (),
    ) -> heads.Opened:
        """The verified checkpoint whose log has `leaf` at `index`. Broken otherwise."""
        opened = heads.verify(self.checkpoint, log_keys, witnesses)
        self.check_path(leaf, opened.checkpoint)
        return opened

    def check_path(self, leaf: bytes, head: heads.Checkpoint) -> None:
        """Broken unless the path leads from `leaf` to the root of `head`; signatures are not looked at."""
        check_inclusion(leaf, self.index, head.size, self.path, head.root)


def path_line(index: int, hashes: Sequence[bytes]) -> str:
    """`<number> <base64 hash> …` and a newline: how trails hold many paths (docs/audit-log-format.md)."""
    return " ".join([str(index), *(b64encode(step).decode() for step in hashes)]) + "\n"


def parse_path_line(line: str) -> tuple[int, list[bytes]]:
    """Read what `path_line` wrote. Broken if it is anything else."""
    number, *words = line.removesuffix("\n").split(" ")
    hashes = [heads.decode_base64(word) for word in words]
    if not _NUMBER.fullmatch(number) or any(len(step) != HASH for step in hashes):
        raise Broken(f"not a line of a path: {line[:80]!r}")
    return int(number), hashes
