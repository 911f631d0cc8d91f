"""`make soak`: ten thousand documents while processes are killed at random, on both set-ups.

`python -m tests.failures.soak [--engine embedded|production] [--documents N]`; each set-up has a time limit.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENGINES = ("production", "embedded")
SECONDS = 1800  # for one set-up; half of it on an otherwise idle machine of two cores
KILLS = 48
KILLED = ("worker", "web", "sealer", "scheduler")


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return _soak(given.engine[0], given.documents)
    return max(_engine(engine, given.documents) for engine in given.engine or ENGINES)


def _engine(engine: str, number: int) -> int:
    words = [sys.executable, "-m", "tests.failures.soak", "--inside", "--engine", engine]
    child = subprocess.Popen(
        [*words, "--documents", str(number)], env=os.environ | {"HUB_TEST_ENGINE": engine}
    )
    try:
        return child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{engine}: not finished within {SECONDS} s\n")
        child.send_signal(signal.SIGINT)
        child.wait()
        return 1


def _soak(engine: str, number: int) -> int:
    # The settings are made on import: the engine of this run is known only now.
    from tests import environment  # noqa: F401

    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    import django

    django.setup()
    from tests import live, receiver
    from tests.bench.stage import make_keys
    from tests.failures.trial import Trial, documents, kill_at_random
    from tests.world import AGENCIES, Keys, World

    live.PATIENCE = SECONDS
    made = make_keys()
    keys = Keys(made.authority, {code: made.identities[code] for code in AGENCIES})
    city, began = World(keys), time.monotonic()
    packages = documents(city, number)
    with (
        tempfile.TemporaryDirectory(prefix="hub-soak-") as directory,
        receiver.running() as endpoint,
        live.running(
            Path(directory), keys, endpoint.url, HUB_WEB_THREADS="8", HUB_REQUESTS_PER_MINUTE="0"
        ) as hub,
    ):
        trial = Trial(hub, city, endpoint, pollers=3)
        trial.run(packages, kill_at_random(hub, KILLED, times=KILLS, pause=5), senders=4)
        pushed = len(endpoint.received)
        deliveries = sum(map(len, trial.accepted.values()))
    sys.stdout.write(
        f"{engine}: {number} documents, {deliveries} deliveries, {KILLS} kills, {pushed} pushes seen, "
        f"{time.monotonic() - began:.0f} s: nothing lost, nothing doubled, the log holds\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
