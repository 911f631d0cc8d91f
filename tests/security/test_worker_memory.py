"""A task that runs away, in a real worker as `runhub` starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.live import ROOT, run, until

pytestmark = pytest.mark.once

LIMIT = 400  # MB; the worker itself takes about a third


def test_a_task_that_runs_away_fails_and_its_worker_lives_on(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environ = own | {
        "HUB_DATA_DIR": str(tmp_path / "hub"),
        "HUB_SECRET_KEY": settings.SECRET_KEY,
        "HUB_WORKER_MEGABYTES": str(LIMIT),
    }
    taken, alive = tmp_path / "taken", tmp_path / "alive"
    worker = ("worker", "--pool", "threads", "--concurrency", "2", "--include", "tests.security.runaway")
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            (sys.executable, "-m", "celery", "-A", "exchange.celery", "-q", *worker, "--without-mingle"),
            cwd=ROOT,
            env=environ,
            stdout=log,
            stderr=log,
        )
    try:
        for task, file in (("run_away", taken), ("live_on", alive)):
            run(environ, "-c", f"from tests.security import runaway; runaway.{task}.delay({str(file)!r})")
            until(file.exists, task)
        assert running.poll() is None
    finally:
        running.terminate()
        running.wait(30)
    assert 50 < int(taken.read_text()) < LIMIT
    assert "MemoryError" in (tmp_path / "log").read_text()
