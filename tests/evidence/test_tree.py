"""The Merkle tree against RFC 6962 and against itself."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.evidence import prove, tiles, tree
from exchange.evidence.tree import Broken

from .samples import memory

# Leaves and roots of the reference tests of Certificate Transparency, which RFC 6962 describes.
REFERENCE = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

LEAVES = [tree.leaf_hash(str(number).encode()) for number in range(300)]
NODES = {(0, index): leaf for index, leaf in enumerate(LEAVES)}
for _level in range(1, 9):
    for _index in range(len(LEAVES) >> _level):
        _left, _right = NODES[_level - 1, 2 * _index], NODES[_level - 1, 2 * _index + 1]
        NODES[_level, _index] = sha256(b"\x01" + _left + _right).digest()
HEADS = [tree.root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
sizes = st.integers(1, len(LEAVES))


def node(level: int, index: int) -> bytes:
    return NODES[level, index]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert tree.root([tree.leaf_hash(leaf) for leaf in REFERENCE[:size]]).hex() == ROOTS[size]


def test_proofs_are_those_of_the_rfc() -> None:
    """RFC 6962, 2.1.3: the example tree of seven leaves, by the names of its nodes."""
    d = [tree.leaf_hash(leaf) for leaf in REFERENCE[:7]]
    a, b, c, _, _, f, j = d
    g, h, i = tree.node_hash(a, b), tree.node_hash(c, d[3]), tree.node_hash(d[4], f)
    k, l_ = tree.node_hash(g, h), tree.node_hash(i, j)
    assert prove.inclusion(0, 7, memory(d)) == [b, h, l_]
    assert prove.inclusion(3, 7, memory(d)) == [c, g, l_]
    assert prove.inclusion(4, 7, memory(d)) == [f, j, k]
    assert prove.inclusion(6, 7, memory(d)) == [i, k]
    assert prove.consistency(3, 7, memory(d)) == [c, d[3], g, l_]
    assert prove.consistency(4, 7, memory(d)) == [l_]
    assert prove.consistency(6, 7, memory(d)) == [i, j, k]


EDGES = [*range(1, 70), 127, 128, 129, 255, 256, 257, 300]


def test_every_leaf_of_every_tree_is_proven() -> None:
    for size in EDGES:
        for index in range(size):
            path = prove.inclusion(index, size, node)
            tree.check_inclusion(LEAVES[index], index, size, path, HEADS[size])


def test_every_tree_extends_every_smaller_one() -> None:
    for new in EDGES:
        for old in range(new + 1):
            tree.check_consistency(old, HEADS[old], new, HEADS[new], prove.consistency(old, new, node))


@given(sizes, st.data())
def test_a_proof_holds_for_nothing_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = prove.inclusion(index, size, node)
    other = data.draw(st.integers(0, len(LEAVES) - 1).filter(lambda i: i != index))
    wrong = [
        (LEAVES[other], index, size, path, HEADS[size]),
        (LEAVES[index], index, size, [*path, LEAVES[0]], HEADS[size]),
        (LEAVES[index], index, size, path, HEADS[size - 1]),
        (LEAVES[index], size, size, path, HEADS[size]),
        (LEAVES[index], -1, size, path, HEADS[size]),
    ]
    if path:
        flipped = bytes([path[0][0] ^ 1]) + path[0][1:]
        wrong += [
            (LEAVES[index], index, size, path[:-1], HEADS[size]),
            (LEAVES[index], index, size, [flipped, *path[1:]], HEADS[size]),
            (LEAVES[index], index, size, path[::-1] if path != path[::-1] else [], HEADS[size]),
        ]
    if other < size:
        wrong.append((LEAVES[index], other, size, path, HEADS[size]))
    for claim in wrong:
        with pytest.raises(Broken):
            tree.check_inclusion(*claim)


@given(sizes, st.data())
def test_a_rewritten_log_has_no_consistency_proof(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    proof = prove.consistency(old, new, node)
    forged = sha256(HEADS[old]).digest()
    wrong = [
        (old, forged, new, HEADS[new], proof),
        (old, HEADS[old], new, forged, proof),
        (old, HEADS[old], new, HEADS[new], [*proof, forged]),
        (new + 1, HEADS[old], new, HEADS[new], proof),
    ]
    if proof:
        wrong += [(old, HEADS[old], new, HEADS[new], proof[:-1]), (old, HEADS[old], new, HEADS[new], [])]
    for claim in wrong:
        with pytest.raises(Broken):
            tree.check_consistency(*claim)


def test_only_the_empty_log_precedes_every_log() -> None:
    tree.check_consistency(0, tree.EMPTY_ROOT, 7, HEADS[7], [])
    with pytest.raises(Broken):
        tree.check_consistency(0, HEADS[1], 7, HEADS[7], [])


def test_proofs_outside_the_tree_are_not_made() -> None:
    for index, size in ((7, 7), (-1, 7), (0, 0)):
        with pytest.raises(ValueError, match="outside"):
            prove.inclusion(index, size, node)
    with pytest.raises(ValueError, match="extend"):
        prove.consistency(8, 7, node)


@given(st.lists(st.integers(0, 60), max_size=8))
def test_a_tree_grows_the_same_in_any_steps(steps: list[int]) -> None:
    grown = tree.Frontier()
    for step in steps:
        grown.extend(LEAVES[grown.size : grown.size + step])
    assert grown.root() == HEADS[grown.size]
    assert len(grown.hashes) == grown.size.bit_count()


@given(sizes, st.data())
def test_a_range_closes_to_the_root_with_its_proof(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size))
    end = data.draw(st.integers(first, size))
    hashes = prove.range_proof(first, end, size, node)
    left = first.bit_count()
    grown = tree.Frontier(first, hashes[:left])
    grown.extend(LEAVES[first:end])
    assert tree.close_range(grown, size, hashes[left:]) == HEADS[size]


def test_a_range_proof_must_fit() -> None:
    with pytest.raises(Broken):
        tree.Frontier(3, [LEAVES[0]])
    with pytest.raises(Broken):
        tree.close_range(tree.Frontier(2, [LEAVES[0]]), 4, [])
    with pytest.raises(ValueError, match="level"):
        tree.Frontier(1, [LEAVES[0]]).push(1, LEAVES[1])


# --- tiles ------------------------------------------------------------------------------------------------


class Store:
    """Tiles in memory, by path; counts nothing, forgives nothing."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.size = 0

    def read(self, level: int, index: int, width: int) -> bytes:
        return self.files[tiles.Tile(level, index, width).path]

    def append(self, leaves: list[bytes]) -> None:
        for tile, data in list(tiles.extend(self.size, leaves, self.read)):
            assert len(data) == tile.width * tree.HASH
            self.files[tile.path] = data
        self.size += len(leaves)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 300), max_size=5))
def test_tiles_give_every_root_on_the_way(steps: list[int]) -> None:
    store, leaves = Store(), []
    for step in steps:
        batch = [tree.leaf_hash(b"%d" % n) for n in range(store.size, store.size + step)]
        store.append(batch)
        leaves += batch
        assert prove.subtree_root(0, store.size, tiles.nodes(store.size, store.read)) == tree.root(leaves)
        assert tiles.frontier(store.size, store.read).root() == tree.root(leaves)


def test_proofs_made_from_tiles_hold() -> None:
    store, leaves = Store(), [tree.leaf_hash(b"%d" % n) for n in range(70_000)]
    store.append(leaves[:1000])
    store.append(leaves[1000:])
    nodes, root = tiles.nodes(store.size, store.read), tree.root(leaves)
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        path = prove.inclusion(index, store.size, nodes)
        tree.check_inclusion(leaves[index], index, store.size, path, root)
    proof = prove.consistency(1000, 70_000, nodes)
    tree.check_consistency(1000, tree.root(leaves[:1000]), 70_000, root, proof)
    # The example of the specification: which tiles a tree of 70,000 has.
    assert {path for path in store.files if path.startswith(("tile/1", "tile/2"))} >= {
        "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1",
    }  # fmt: skip
    assert sum(path.startswith("tile/0/") and ".p/" not in path for path in store.files) == 273
    assert "tile/0/273.p/112" in store.files


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("tile/0/x001/x234/067", ("0", 1_234_067, 256)),
        ("tile/2/000.p/1", ("2", 0, 1)),
        ("tile/entries/x001/000.p/255", ("entries", 1000, 255)),
    ],
)
def test_tile_paths_are_those_of_the_specification(path: str, parts: tuple[str, int, int]) -> None:
    assert tiles.parse_path(path) == parts
    level, index, width = parts
    again = (
        tiles.bundle_path(index, width) if level == "entries" else tiles.Tile(int(level), index, width).path
    )
    assert again == path


@pytest.mark.parametrize("path", [
    "tile/64/000", "tile/00/000", "tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
    "tile/0/001/000", "tile/0/x000/001", "tile/0/", "tile/0", "tile/entry/000", "tile/0/../000", "tile/0/٠٠٠",
    "", "/tile/0/000", "tile/0/x/000",
])  # fmt: skip
def test_other_paths_are_no_tiles(path: str) -> None:
    with pytest.raises(ValueError, match="not the path of a tile"):
        tiles.parse_path(path)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_entry_bundles_are_read_back(entries: list[bytes]) -> None:
    data = tiles.bundle(entries)
    assert tiles.parse_bundle(data) == entries
    if data:
        with pytest.raises(Broken):
            tiles.parse_bundle(data[:-1])


def test_too_much_for_a_bundle_is_an_error() -> None:
    for entries in ([b"x" * 65_536], [b""] * 257):
        with pytest.raises(ValueError, match="bundle"):
            tiles.bundle(entries)


def test_a_short_tile_is_noticed() -> None:
    with pytest.raises(Broken):
        tiles.nodes(300, lambda level, index, width: bytes(32))(3, 0)
