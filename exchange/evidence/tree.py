"""The Merkle tree of the log: RFC 6962 section 2.1 (the same tree as RFC 9162).

What is needed to build a tree and to check proofs; `prove` makes the proofs. A node is named by (level,
index): the complete subtree over the 2**level leaves from `index * 2**level` on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

HASH = 32  # bytes
EMPTY_ROOT = sha256().digest()


class Broken(ValueError):
    """Evidence that does not hold: a proof, checkpoint or receipt that fails its check."""


def leaf_hash(raw: bytes) -> bytes:
    """SHA-256(0x00 ‖ raw): the leaf of one event (RFC 6962, 2.1)."""
    return sha256(b"\x00" + raw).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right) (RFC 6962, 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def cover(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The fewest complete subtrees over the leaves [begin, end), from left to right, as (level, index)."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level, begin >> level
        begin += 1 << level


def _subtree(hashes: Sequence[bytes]) -> bytes:
    """The root over 2**n hashes. This loop is where a verifier of millions of events spends its time."""
    hash_, prefix = sha256, b"\x01"
    while len(hashes) > 1:
        hashes = [hash_(prefix + a + b).digest() for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over subtrees of falling width (at least one)."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


@dataclass(slots=True)
class Frontier:
    """All that is needed to go on building a tree: one hash for every bit set in `size`, widest first."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.hashes) != self.size.bit_count():
            raise Broken(f"a tree of {self.size} leaves has {self.size.bit_count()} frontier hashes")

    def push(self, level: int, subtree: bytes) -> None:
        """Append the complete subtree over the next 2**level leaves. ValueError if it is not aligned."""
        if self.size & ((1 << level) - 1):
            raise ValueError(f"a subtree of level {level} cannot follow {self.size} leaves")
        carry = self.size >> level
        while carry & 1:
            subtree = node_hash(self.hashes.pop(), subtree)
            carry >>= 1
        self.hashes.append(subtree)
        self.size += 1 << level

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append leaf hashes."""
        start = self.size
        for level, index in cover(start, start + len(leaves)):
            first = (index << level) - start
            self.push(level, _subtree(leaves[first : first + (1 << level)]))

    def root(self) -> bytes:
        """The Merkle tree hash of everything appended so far."""
        return fold(self.hashes) if self.hashes else EMPTY_ROOT


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of `leaves` (leaf hashes)."""
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def check_inclusion(leaf: bytes, index: int, size: int, path: Iterable[bytes], expected_root: bytes) -> None:
    """Broken unless `leaf` stands at `index` in the tree of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise Broken(f"index {index} is outside a tree of {size} leaves")
    place, last, found = index, size - 1, leaf
    for step in path:
        if not last:
            raise Broken("the inclusion path is too long")
        if place & 1 or place == last:
            found = node_hash(step, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    if last:
        raise Broken("the inclusion path is too short")
    if found != expected_root:
        raise Broken(f"the event is not at index {index} of the log")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Broken unless the tree (new, new_root) extends the tree (old, old_root) (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        raise Broken(f"the log shrank from {old} to {new} events")
    if old in {0, new}:
        if proof or old_root != (new_root if old else EMPTY_ROOT):
            raise Broken(f"two different logs of {old} events")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise Broken("the consistency proof is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    found_old = found_new = path[0]
    for step in path[1:]:
        if not last:
            raise Broken("the consistency proof is too long")
        if place & 1 or place == last:
            found_old, found_new = node_hash(step, found_old), node_hash(step, found_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found_new = node_hash(found_new, step)
        place, last = place >> 1, last >> 1
    if last or found_old != old_root or found_new != new_root:
        raise Broken(f"the log of {new} events does not extend the log of {old} events")


def close_range(tree: Frontier, size: int, right: Sequence[bytes]) -> bytes:
    """The root at `size` of a tree begun with the left hashes of a range proof, given the right ones."""
    places = list(cover(tree.size, size))
    if tree.size > size or len(places) != len(right):
        raise Broken(f"the range proof does not lead from {tree.size} to {size} events")
    for (level, _), subtree in zip(places, right, strict=True):
        tree.push(level, subtree)
    return tree.root()
