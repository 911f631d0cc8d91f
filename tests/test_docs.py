"""What the docs list is what the code has."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from exchange import environment
from exchange.environment import Environment, SettingError

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent


def test_the_settings_page_shows_every_setting() -> None:
    assert environment.table() in (ROOT / "docs" / "settings.md").read_text()


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        re.split(r"[\[<>=~;! ]", text)[0]
        for text in (
            *project["project"]["dependencies"],
            *chain.from_iterable(project["project"]["optional-dependencies"].values()),
            *project["dependency-groups"]["dev"],
        )
    }
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert set(re.findall(r"^\| ([a-z0-9-]+) \| [^ ]", page, re.MULTILINE)) - {"package"} == wanted


def test_no_lock_file_names_an_address() -> None:
    for path in ROOT.glob("requirements*.txt"):
        assert "://" not in path.read_text(), path.name


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_a_setting_is_read_with_its_type() -> None:
    read = Environment.read(
        {"HUB_PORT": "9000", "HUB_DEBUG": "yes", "HUB_PUSH_NETWORKS": "10.0.0.0/8, ::1/128"}
    )
    assert (read.port, read.debug, read.push_networks) == (9000, True, ("10.0.0.0/8", "::1/128"))


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    assert Environment.read({"HUB_SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == "secret"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"HUB_DATABSE_URL": "x"}, "did you mean HUB_DATABASE_URL"),
        ({"HUB_PORT": "many"}, "HUB_PORT: 'many' is not a valid value"),
        ({"HUB_SECRET_KEY_FILE": "/nowhere"}, "cannot read /nowhere"),
    ],
)
def test_a_mistake_in_the_settings_is_named(given: dict[str, str], told: str) -> None:
    with pytest.raises(SettingError, match=re.escape(told)):
        Environment.read(given)
