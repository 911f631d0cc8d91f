"""X-Request-Id, in and out."""

from uuid import UUID

import pytest
from django.test import Client
from structlog import contextvars


def asked(client: Client, given: str | None) -> str:
    headers = {} if given is None else {"X-Request-Id": given}
    return str(client.get("/healthz", headers=headers).headers["X-Request-Id"])


@pytest.mark.parametrize("given", ["a", "req-2026.11:23_X", "0" * 64])
def test_a_harmless_id_is_kept(client: Client, given: str) -> None:
    assert asked(client, given) == given


@pytest.mark.parametrize("given", [None, "", "0" * 65, "a b", "a\tb", "<b>", "é", "a,b", "a\x0bb"])
def test_any_other_is_replaced(client: Client, given: str | None) -> None:
    assert UUID(asked(client, given)).version == 4


def test_the_id_is_bound_to_the_log_lines_of_the_request_alone(client: Client) -> None:
    contextvars.bind_contextvars(left_over="from an earlier request of this thread")
    asked(client, "mine")
    assert contextvars.get_contextvars() == {"request_id": "mine", "source": "127.0.0.1"}
