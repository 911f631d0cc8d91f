"""Proofs that the log makes: RFC 6962, 2.1.1 and 2.1.2. `tree` checks them.

Whoever can answer `Nodes` (a tile store, a list in memory) can have every proof made.
"""

from collections.abc import Callable

from exchange.evidence.tree import EMPTY_ROOT, cover, fold

Nodes = Callable[[int, int], bytes]  # (level, index) -> hash of that complete subtree


def subtree_root(begin: int, end: int, nodes: Nodes) -> bytes:
    """MTH(D[begin:end]) for a range that occurs in the recursion of RFC 6962; (0, size) is the root."""
    return fold([nodes(*place) for place in cover(begin, end)]) if end > begin else EMPTY_ROOT


def _half(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)  # the largest power of two smaller than size


def inclusion(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962, 2.1.1: sibling of the leaf first. ValueError outside the tree."""
    if not 0 <= index < size:
        raise ValueError(f"index {index} is outside a tree of {size} leaves")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _half(end - begin)
        if index < middle:
            path.append(subtree_root(middle, end, nodes))
            end = middle
        else:
            path.append(subtree_root(begin, middle, nodes))
            begin = middle
    return path[::-1]


def consistency(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962, 2.1.2; empty when `old` is 0 or `new`. ValueError if it shrank."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not extend one of {old}")
    if old in {0, new}:
        return []
    proof, begin, end = [], 0, new
    while end != old:
        middle = begin + _half(end - begin)
        if old <= middle:
            proof.append(subtree_root(middle, end, nodes))
            end = middle
        else:
            proof.append(subtree_root(begin, middle, nodes))
            begin = middle
    if begin:
        proof.append(subtree_root(begin, end, nodes))
    return proof[::-1]


def range_proof(first: int, end: int, size: int, nodes: Nodes) -> list[bytes]:
    """What a holder of the leaves [first, end) lacks to get the root at `size`: `cover` of both sides."""
    return [nodes(*place) for place in (*cover(0, first), *cover(end, size))]
