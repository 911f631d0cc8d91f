"""What the hub says no to while an operator works on it.

`maintenance`: nothing new is taken, everything that was taken keeps moving. `read-only`: no document moves
at all, people and systems may look. Every process learns of a switch within two seconds.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exchange import facts, siem
from exchange.refusals import Refused

FACT = "mode"
SECONDS = 2.0


class Mode(StrEnum):
    """Normal, and the two others."""

    NORMAL = "normal"
    MAINTENANCE = "maintenance"
    READ_ONLY = "read-only"


@dataclass(frozen=True, slots=True)
class Standing:
    """The mode, and after how many seconds a refused client should try again."""

    mode: Mode = Mode.NORMAL
    seconds: int = 0


_seen: tuple[float, Standing] | None = None


def switch(mode: Mode, *, seconds: int, by: str, at: datetime) -> None:
    """Put `mode` in force; `seconds` are what refused clients are told to wait."""
    global _seen  # noqa: PLW0603 - the cache of this process
    facts.say(FACT, at, mode=str(mode), seconds=seconds, by=by)
    _seen = None
    siem.say("mode.changed", mode=str(mode), by=by)


def standing() -> Standing:
    """The mode in force, at most two seconds old."""
    global _seen  # noqa: PLW0603
    now = time.monotonic()
    if _seen is None or now - _seen[0] >= SECONDS:
        row = facts.found(FACT)
        found = Standing(Mode(row.value["mode"]), int(row.value["seconds"])) if row else Standing()
        _seen = (now, found)
    return _seen[1]


def check_taking() -> None:
    """Raise Refused hub.maintenance or hub.read-only when the hub takes nothing new."""
    found = standing()
    if found.mode is Mode.MAINTENANCE:
        raise Refused("hub.maintenance", seconds=found.seconds)
    check_moving()


def check_moving() -> None:
    """Raise Refused hub.read-only when no document moves."""
    found = standing()
    if found.mode is Mode.READ_ONLY:
        raise Refused("hub.read-only", seconds=found.seconds)


def moving() -> bool:
    """Whether documents move: False in read-only mode."""
    return standing().mode is not Mode.READ_ONLY
