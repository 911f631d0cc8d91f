"""The callers of the API tests, and a count of requests that starts at zero."""

from collections.abc import Iterator

import pytest

from exchange import door
from tests.api.conftest import caller, recipient, sender

__all__ = ["caller", "recipient", "sender"]


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """No credit of an earlier test is left in this process."""
    door.forget()
    yield
    door.forget()
