"""`make bench`: every measure with its floor, on both set-ups; a table, and JSON in var/bench.

`python -m tests.bench [--engine embedded|production] [--only WORD]`. Each set-up runs in a process of its own
and is given so much time; what fails, or is not begun in time, is shown as such and the exit code is 1.
"""

import argparse
import json
import logging
import os
import platform
import signal
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ENGINES = ("production", "embedded")
SECONDS = 840  # after which no measure of a set-up is begun; without other work none comes near it
LAST_SECONDS = 300  # for the one that runs then
OUT = Path("var/bench")
LIBRARIES = ("django", "psycopg", "celery", "granian", "aiohttp", "lxml", "cryptography")


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--only", default="", help="only measures whose name has this word in it")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return _inside(given.engine[0], given.only)
    OUT.mkdir(parents=True, exist_ok=True)
    codes = [_engine(engine, given.only) for engine in given.engine or ENGINES]
    return max(codes)


def _engine(engine: str, only: str) -> int:
    words = (sys.executable, "-m", "tests.bench", "--inside", "--engine", engine, "--only", only)
    kind = {"HUB_TEST_ENGINE": "production" if engine == "production" else "embedded"}
    child = subprocess.Popen(words, env=os.environ | kind)
    try:
        return child.wait(SECONDS + LAST_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{engine}: not finished within {SECONDS + LAST_SECONDS} s\n")
        child.send_signal(signal.SIGINT)  # it stops its hub, and takes its database away
        child.wait()
        return 1


def _inside(engine: str, only: str) -> int:
    # The settings are made on import: the engine of this run is known only now.
    from tests import environment  # noqa: F401

    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    import django

    django.setup()
    logging.disable(logging.INFO)  # what is measured in this process says a line for each document
    from tests.bench import measures
    from tests.bench.rows import Row, table

    rows: list[Row] = []
    machine = _machine()
    sys.stdout.write(f"\n{engine}: {machine['cpu']} × {machine['cores']}, {machine['system']}\n")
    for row in measures.run(only, SECONDS):
        rows.append(row)
        sys.stdout.write(table([row]) + "\n")
        sys.stdout.flush()
        _write(engine, machine, rows)
    sys.stdout.write("\n" + table(rows, heading=True) + "\n")
    return int(any(row.failed for row in rows))


def _write(engine: str, machine: dict[str, Any], rows: list[Any]) -> None:
    found = {
        "engine": engine,
        "at": datetime.now(UTC).isoformat("T", "seconds"),
        "machine": machine,
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
    }
    (OUT / f"{engine}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))


def _machine() -> dict[str, Any]:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
    }


if __name__ == "__main__":
    sys.exit(main())
