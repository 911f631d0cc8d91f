"""“Stream X has n events at size N of the log”: what a holder can ask for, sealed like a receipt.

A statement file (`.json`) is `{"statement": "<one line of JSON, as it was sealed>", "jws": "<seal>"}`; `typ`
in the header of the seal is TYPE. A hub that stated a number can not show fewer events later.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from exchange.evidence.tree import Broken

TYPE = "stream-statement+jws"
LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Statement:
    """At `size` of `log`, whose root is `root` (hex), and with all logs before it, `stream` had `events`
    events; `head` is the leaf hash (hex) of the last one, "" for none. `time` is when the hub said so."""

    issuer: str
    stream: str
    events: int
    head: str
    log: str
    size: int
    root: str
    time: str
    v: int = 1

    def __bytes__(self) -> bytes:
        """The line that is sealed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @property
    def at(self) -> datetime:
        """The time, aware."""
        return datetime.fromisoformat(self.time)


def parse(raw: bytes) -> tuple[Statement, bytes, str]:
    """The statement in a file, the line that was sealed, and the seal; nothing is verified yet.

    Broken if it is not one."""
    try:
        if len(raw) > LIMIT:
            raise Broken("too long")
        value = json.loads(raw)
        line, jws = value["statement"], value["jws"]
        made = Statement(**json.loads(line))
        if not isinstance(jws, str) or bytes(made) != line.encode() or made.at.utcoffset() is None:
            raise Broken("not in the one form that the hub writes")
        _ = bytes.fromhex(made.root), bytes.fromhex(made.head)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Broken(f"not a statement: {error}") from error
    return made, line.encode(), jws
