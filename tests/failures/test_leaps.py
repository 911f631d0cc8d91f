"""The clock of the machine leaps under a running hub, for all of its processes at once (clock.c)."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import live, receiver
from tests.failures.trial import Trial, documents
from tests.live import until
from tests.world import Keys, World

pytestmark = pytest.mark.postgresql

HOUR = 3600


def wrong_clock(directory: Path) -> tuple[dict[str, str], Callable[[int], None]]:
    """What gives a process a clock of its own, and how that is set: by seconds from the right time."""
    library, clock = directory / "clock.so", directory / "clock"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)

    def leap(seconds: int) -> None:
        with clock.open("r+b" if clock.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))

    leap(0)
    return {"LD_PRELOAD": str(library), "HUB_TEST_CLOCK": str(clock)}, leap


@pytest.mark.parametrize("leaps", [(-3 * HOUR,), (3 * HOUR, 0), (40 * 24 * HOUR,)])
def test_a_clock_that_leaps_loses_nothing_and_holds_nothing(
    tmp_path: Path, keys: Keys, leaps: tuple[int, ...]
) -> None:
    city, (faked, leap) = World(keys), wrong_clock(tmp_path)
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url, **faked) as hub:
        trial = Trial(hub, city, endpoint)

        def disturb() -> None:
            for seconds in leaps:
                before = len(trial.accepted)
                until(lambda: len(trial.accepted) > before + 3, "some documents")  # noqa: B023
                leap(seconds)
                time.sleep(1)

        trial.run(documents(city, 40), disturb)
