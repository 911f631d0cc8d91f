"""The machine under the hub: a disk that is full for a while, and a second scheduler started by mistake."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import live, receiver
from tests.failures.trial import Trial, documents
from tests.live import ROOT, until
from tests.world import Keys, World

pytestmark = pytest.mark.postgresql

DISK = 4_000_000


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of DISK bytes in memory. Mounting needs root, which CI is."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "hub-test", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(path: Path) -> None:
    """Write until the kernel says that nothing fits any more."""
    with path.open("ab", buffering=0) as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        while True:
            file.write(b"x" * 65536)


def test_a_disk_that_is_full_for_a_while_refuses_whole_packages_and_loses_none(
    tmp_path: Path, keys: Keys
) -> None:
    city = World(keys)
    with (
        small_disk(tmp_path / "vault") as vault,
        receiver.running() as endpoint,
        live.running(tmp_path, keys, endpoint.url, HUB_VAULT_DIR=str(vault)) as hub,
    ):
        trial = Trial(hub, city, endpoint)
        ballast = vault / "ballast"
        refused: list[int] = []

        def disturb() -> None:
            until(lambda: trial.accepted, "the first document")
            fill(ballast)
            refused.append(hub.send(hub.token("office"), city.document("H29", "H29.5"))[0])
            ballast.unlink()

        trial.run(documents(city, 40), disturb)
        assert refused[0] >= 500, "nothing was promised that could not be kept"
        hub.manage("verify_store")


def test_two_schedulers_do_no_work_twice(tmp_path: Path, keys: Keys) -> None:
    city = World(keys)
    words = (sys.executable, "-m", "celery", "-A", "exchange.celery:scheduler", "-q", "beat", "--pidfile=")
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url) as hub:
        trial = Trial(hub, city, endpoint)
        second = subprocess.Popen(
            (*words, f"--schedule={tmp_path / 'second'}", "--loglevel", "WARNING"), cwd=ROOT, env=hub.environ
        )
        try:
            trial.run(documents(city, 60), lambda: time.sleep(3))
            assert second.poll() is None, "it worked all the time"
        finally:
            second.terminate()
            second.wait(30)
