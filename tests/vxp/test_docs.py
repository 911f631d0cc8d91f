"""docs/vxp.md lists what the code has; `python -m tests.vxp.test_docs` writes the table anew."""

import re
from pathlib import Path

import pytest

from exchange.refusals import CATALOGUE

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "vxp.md"
MEANINGS = {
    "10": "the file cannot be taken",
    "15": "wrong systemid, secret or signature",
    "18": "the recipient is unknown or not connected",
    "19": "the sender is not registered, or not the system's",
    "20": "the request cannot be carried out",
    "21": "the content is damaged",
    "22": "the packet or what it asks is wrong",
    "23": "suspended",
}


def errors() -> str:
    """The numbers that clients know, with the refusals behind each."""
    rows = [f"| {number} | {meaning} | {', '.join(_codes(number))} |" for number, meaning in MEANINGS.items()]
    return "\n".join(["| ErrorCode | meaning | refusals |", "|---|---|---|", *rows])


def _codes(number: str) -> list[str]:
    return [f"`{reason.code}`" for reason in CATALOGUE.values() if reason.vxp == number]


def written(page: str) -> str:
    """The page with the table made anew."""
    return re.sub(r"(<!-- list: errors -->\n).*?(<!-- end -->)", rf"\1{errors()}\n\2", page, flags=re.DOTALL)


def test_the_page_has_every_error() -> None:
    assert {reason.vxp for reason in CATALOGUE.values()} == set(MEANINGS)
    assert written(PAGE.read_text()) == PAGE.read_text()


def test_the_page_names_every_call() -> None:
    from exchange.vxp.calls import CALLS  # needs the settings

    page = PAGE.read_text()
    assert [name for name in CALLS if f"`{name}`" not in page] == []


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
