"""The callers of the API tests, and a count of requests that starts at zero."""

import os
import shutil
from collections.abc import Iterator

import pytest

from exchange import door
from tests.api.conftest import caller, recipient, sender

__all__ = ["caller", "recipient", "sender"]


def needs(*tools: str) -> None:
    """Skip loudly where a tool is not installed; with HUB_TEST_REQUIRE_ALL=1 (CI) that is a failure."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent and os.environ.get("HUB_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"not installed, and HUB_TEST_REQUIRE_ALL=1: {', '.join(absent)}")
    if absent:
        pytest.skip(f"NOT CHECKED: not installed: {', '.join(absent)}")


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """No credit of an earlier test is left in this process."""
    door.forget()
    yield
    door.forget()
