"""How the tree is stored and served: c2sp.org/tlog-tiles (hash tiles of 256, entry bundles)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exchange.evidence.prove import Nodes
from exchange.evidence.tree import (
    HASH,
    Broken,
    Frontier,
    cover,
    root,
)

WIDTH = 256  # hashes in a full tile
LEVELS = 8  # tree levels spanned by one tile level
ENTRY_LIMIT = 0xFFFF  # bytes; an entry bundle gives the length of an entry in 16 bits

ReadTile = Callable[[int, int, int], bytes]  # (tile level, tile index, width) -> width * 32 bytes


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The name of a tile: `width` hashes (256 is full) from `index * 256` on, at tile level `level`."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path under the log's prefix, such as `tile/0/x001/234.p/7`."""
        return f"tile/{self.level}/{_number(self.index)}{_partial(self.width)}"


def bundle_path(index: int, width: int = WIDTH) -> str:
    """The path of an entry bundle, such as `tile/entries/x001/234`."""
    return f"tile/entries/{_number(index)}{_partial(width)}"


def parse_path(path: str) -> tuple[str, int, int]:
    """`tile/0/x001/234.p/7` -> ("0", 1234, 7); the level may be "entries". ValueError for any other form."""
    head, _, partial = path.partition(".p/")
    words = head.split("/")
    number = "".join(word.removeprefix("x") for word in words[2:])
    width = partial or str(WIDTH)
    plain = all(text.isascii() and text.isdecimal() for text in (number, width))
    if words[0] == "tile" and len(words) > 2 and plain:
        level, index = words[1], int(number)
        allowed = level == "entries" or level in map(str, range(64))
        rebuilt = f"tile/{level}/{_number(index)}{_partial(int(width))}"
        if allowed and 0 < int(width) <= WIDTH and rebuilt == path:
            return level, index, int(width)
    raise ValueError(f"not the path of a tile: {path!r}")


def _number(index: int) -> str:
    text = str(index)
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[i : i + 3] for i in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"


def width_of(level: int, index: int, size: int) -> int:
    """How many hashes the tile (level, index) has in a log of `size` events; 0 if there is none."""
    return max(0, min(WIDTH, (size >> (LEVELS * level)) - index * WIDTH))


def extend(size: int, leaves: Sequence[bytes], read: ReadTile) -> Iterator[tuple[Tile, bytes]]:
    """The tiles to write when `leaves` (leaf hashes) join a log of `size` events: new and grown ones.

    `read` is asked only for the partial tiles at the right edge of the old tree.
    """
    hashes, level = list(leaves), 0
    while hashes:
        index, width = divmod(size >> (LEVELS * level), WIDTH)
        data = (read(level, index, width) if width else b"") + b"".join(hashes)
        hashes = []
        for start in range(0, len(data), WIDTH * HASH):
            tile = data[start : start + WIDTH * HASH]
            yield Tile(level, index, len(tile) // HASH), tile
            if len(tile) == WIDTH * HASH:
                hashes.append(root(split(tile)))
            index += 1
        level += 1


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[i : i + HASH] for i in range(0, len(tile), HASH)]


def nodes(size: int, read: ReadTile) -> Nodes:
    """Answer tree nodes from the tiles of a log of `size` events; every tile is read at most once."""
    seen: dict[tuple[int, int], bytes] = {}

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, LEVELS)
        tile, first = divmod(index << height, WIDTH)
        if (tile_level, tile) not in seen:
            seen[tile_level, tile] = read(tile_level, tile, width_of(tile_level, tile, size))
        hashes = split(seen[tile_level, tile][first * HASH : (first + (1 << height)) * HASH])
        if len(hashes) != 1 << height:
            raise Broken(f"the tile {tile_level}/{tile} is shorter than a log of {size} events needs")
        return root(hashes)

    return node


def frontier(size: int, read: ReadTile) -> Frontier:
    """The frontier of a log of `size` events, from its tiles."""
    from_tiles = nodes(size, read)
    return Frontier(size, [from_tiles(*place) for place in cover(0, size)])


def bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle of at most 256 events. ValueError if an event has more than 65,535 bytes."""
    if len(entries) > WIDTH or any(len(entry) > ENTRY_LIMIT for entry in entries):
        raise ValueError(f"a bundle holds {WIDTH} entries of {ENTRY_LIMIT} bytes each at most")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes) -> list[bytes]:
    """The events of an entry bundle. Broken when it is cut short."""
    entries, place = [], 0
    while place < len(data):
        begin = place + 2
        place = begin + int.from_bytes(data[place:begin], "big")
        if place > len(data) or begin > len(data):
            raise Broken("the entry bundle is cut short")
        entries.append(data[begin:place])
    return entries
