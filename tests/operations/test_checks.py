"""Every mistake in the settings that can be seen before the start has an id, a hint and a test."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage

from exchange import checks
from exchange.environment import Environment
from tests.live import ROOT

GOOD = {
    "HUB_DATABASE_URL": "postgresql://hub:secret@127.0.0.1/hub",
    "HUB_BROKER_URL": "amqp://hub:secret@127.0.0.1:5672/hub",
    "HUB_SECRET_KEY": "0123456789" * 5,
    "HUB_BASE_URL": "https://hub.example.vn",
    "HUB_TRUST_DIR": "/",
}
MISTAKES: dict[str, dict[str, str]] = {
    "hub.E001": {"HUB_SECRET_KEY": ""},
    "hub.E002": {"HUB_DEBUG": "1"},
    "hub.E003": {"HUB_TRUST_DIR": "/nowhere"},
    "hub.E004": {"HUB_SECRET_KEY": "short"},
    "hub.E005": {"HUB_WEB_THREADS": "0"},
    "hub.E006": {"HUB_METRICS_PORT": "8000"},
    "hub.E007": {"HUB_PORT": "70000"},
    "hub.E008": {"HUB_BASE_URL": "hub.example.vn"},
    "hub.E009": {"HUB_DATABASE_URL": "mysql://hub@127.0.0.1/hub"},
    "hub.E010": {"HUB_BROKER_URL": "http://127.0.0.1"},
    "hub.E011": {"HUB_EMAIL_URL": "mail.example.vn"},
    "hub.E012": {"HUB_LEASE_SECONDS": "30", "HUB_PUSH_SECONDS": "30"},
    "hub.E013": {"HUB_PUSH_NETWORKS": "10.0.0.0/99"},
    "hub.E014": {"HUB_SECURITY_SYSLOG": "siem.example.vn"},
    "hub.E015": {"HUB_SECURITY_LOG": "/nowhere/security.jsonl"},
    "hub.W001": {"HUB_TRUST_DIR": ""},
    "hub.W002": {"HUB_BASE_URL": "http://hub.example.vn"},
    "hub.W003": {"HUB_ALLOWED_HOSTS": "*"},
    "hub.W004": {"HUB_BROKER_URL": ""},
    "hub.W005": {"HUB_EXPIRY_DAYS_EXPRESS": "90"},
}


def found(settings: Any, **given: str) -> list[CheckMessage]:
    """What the checks say of good settings with these instead."""
    settings.ENVIRONMENT = Environment.read(GOOD | given)
    return checks.check_settings(None)


def test_good_settings_are_good(settings: Any) -> None:
    assert found(settings) == []


def test_a_hub_without_any_setting_lacks_only_its_authorities(settings: Any) -> None:
    settings.ENVIRONMENT = Environment.read({})
    assert [message.id for message in checks.check_settings(None)] == ["hub.W001"]


@pytest.mark.parametrize("code", MISTAKES)
def test_the_mistake_is_seen_and_has_a_hint(settings: Any, code: str) -> None:
    (message,) = found(settings, **MISTAKES[code])
    assert (message.id, message.is_serious()) == (code, code.startswith("hub.E"))
    assert message.hint
    assert "secret" not in message.msg


def test_every_check_is_tried() -> None:
    source = Path(checks.__file__).read_text()
    assert set(re.findall(r'"(?:hub\.)?([EW]0\d\d)"', source)) == {
        code.removeprefix("hub.") for code in MISTAKES
    }


def test_a_misspelt_setting_ends_a_command_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "manage.py", "check"), cwd=ROOT, env={"HUB_DATABSE_URL": "x"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "HUB_DATABSE_URL is not a setting of this hub; did you mean HUB_DATABASE_URL?\n"
