"""docs/audit-log.md lists what the code has: every event, every check, every attack."""

from pathlib import Path

import pytest

from exchange.audit.report import CHECKS
from exchange.evidence.catalogue import CATALOGUE
from tests.exchange.test_attacks_on_log import ATTACKS

pytestmark = pytest.mark.once

PAGE = Path("docs/audit-log.md").read_text(encoding="utf-8").splitlines()


def rows_under(header: str) -> list[str]:
    """The lines of the table whose first line is `header`."""
    start = PAGE.index(header) + 2
    return PAGE[start : next(i for i in range(start, len(PAGE) + 1) if i == len(PAGE) or not PAGE[i])]


def test_every_event_is_listed_with_its_meaning() -> None:
    assert rows_under("| event | Vietnamese | what it proves |") == [
        f"| `{kind.name}` | {kind.label_vi} | {kind.meaning_en} |" for kind in CATALOGUE.values()
    ]


def test_every_check_is_listed() -> None:
    assert rows_under("| check | what must hold |") == [
        f"| `{name}` | {en} ({vi}) |" for name, (vi, en) in CHECKS.items()
    ]


def test_every_attack_is_listed_with_the_check_that_notices_it() -> None:
    assert rows_under("| attack, by somebody who may drop triggers | noticed by |") == [
        f"| {name} | `{attack.noticed_by}` |" for name, attack in ATTACKS.items()
    ]
