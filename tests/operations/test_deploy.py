"""What stands in deploy/ is what the tools of a server take: systemd, nginx, and the settings of the hub."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exchange.celery import WATCHED, queue
from exchange.environment import Environment
from fixtures.pki import Authority
from tests.live import ROOT

pytestmark = pytest.mark.once

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"


def run(*words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    """A tool, with all that it says."""
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **extra})


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with this repository where the server has /opt/hub."""
    copied = tmp_path / "units"
    shutil.copytree(UNITS, copied)
    for path in copied.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace("/opt/hub", str(ROOT)))
    template = copied / "hub-worker@.service"
    for lane in WATCHED:  # verified one by one, as the target wants them
        (copied / f"hub-worker@{lane}.service").symlink_to(template)
    return copied


def test_systemd_takes_every_unit(units: Path) -> None:
    names = sorted(str(path) for path in units.glob("hub*.*") if path.is_file() and "@." not in path.name)
    assert len(names) == 7 + len(WATCHED)
    done = run("systemd-analyze", "verify", "--man=no", *names, SYSTEMD_UNIT_PATH=f"{units}:")
    said = [line for line in (done.stdout + done.stderr).splitlines() if "hub" in line]
    assert said == []


def test_a_mistake_in_a_unit_would_be_seen(units: Path) -> None:
    (units / "hub-.service.d" / "common.conf").write_text("[Service]\nProtectSystm=strict\n")
    done = run(
        "systemd-analyze", "verify", "--man=no", str(units / "hub-web.service"), SYSTEMD_UNIT_PATH=f"{units}:"
    )
    assert "ProtectSystm" in done.stderr


def test_the_target_starts_a_worker_for_every_lane() -> None:
    wanted = set(re.findall(r"hub-worker@(\w+)\.service", (UNITS / "hub.target").read_text()))
    assert wanted == set(WATCHED)
    assert f"--queues {queue('%i')}" in (UNITS / "hub-worker@.service").read_text()


def test_no_unit_runs_as_root_or_may_gain_rights() -> None:
    common = (UNITS / "hub-.service.d" / "common.conf").read_text()
    for line in ("User=hub", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"):
        assert f"\n{line}\n" in common
    assert not any("User=" in path.read_text() for path in UNITS.glob("*.service"))


def test_nginx_takes_the_sample(tmp_path: Path) -> None:
    identity = Authority.create("hub.example.vn", key="ec").issue("hub.example.vn", key="ec")
    key, certificate = identity.save(tmp_path, "tls")
    site = (DEPLOY / "nginx.conf").read_text()
    site = site.replace("/etc/hub/tls/fullchain.pem", str(certificate))
    site = site.replace("/etc/hub/tls/private.key", str(key))
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{site}\n}}\n"
    )
    done = run("nginx", "-t", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path))
    assert "test is successful" in done.stderr, done.stderr
    assert re.search(r"location = /metrics \{[^}]*return 404", site)


def test_every_setting_of_the_samples_is_one() -> None:
    for name in ("hub.env.example", "compose/.env.example"):
        lines = (DEPLOY / name).read_text().splitlines()
        pairs = [line.lstrip("# ").partition("=") for line in lines if re.match(r"#? ?HUB_\w+=", line)]
        given = {key: value for key, _, value in pairs if not key.endswith("_FILE")}
        assert len(given) >= 5
        Environment.read(given)


def test_compose_runs_the_processes_of_the_target() -> None:
    text = (DEPLOY / "compose" / "compose.yml").read_text()
    for lane in WATCHED:
        assert queue(lane) in text
    for words in ("exchange.management.web", "seal_log", "beat", "serve_metrics", "setup_hub"):
        assert words in text
    assert "No Docker engine" in text
