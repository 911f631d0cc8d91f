"""The API answers as its OpenAPI description says, whatever is asked: schemathesis, in this process.

Each operation gets requests that follow the description and requests that break it, from a fixed seed.
`HUB_TEST_SCHEMA_EXAMPLES=500` for a long run; the default takes a few seconds.
"""

import os
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import CHECKS, load_all_checks

from exchange.wsgi import application
from tests.api.conftest import Call
from tests.world import World

pytestmark = pytest.mark.once

EXAMPLES = int(os.environ.get("HUB_TEST_SCHEMA_EXAMPLES", "4"))
SEARCH = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
HOST = "http://127.0.0.1:8000"
NOT_YET = "export.not-sealed"  # 503, described: the log of this test is not sealed


def served(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The hub as a server asks it, which closes every answer (PEP 3333); schemathesis does not."""
    result = application(environ, start_response)
    try:
        return list(result)
    finally:
        result.close()


@pytest.fixture(autouse=True)
def kept_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a request closes its connection; here that would be the connection of the test."""
    monkeypatch.setattr(connection, "close", lambda: None)


@pytest.fixture
def known(hub: World, caller: Call) -> dict[str, list[str]]:
    """Ids that are there, by the name of the parameter that takes them."""
    sent = caller("H29").send(hub.document("H29", "H29.5")).json()
    return {
        "package_id": [sent["id"]],
        "delivery_id": [delivery["id"] for delivery in sent["deliveries"]],
        "code": ["H29.5"],
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_described(
    known: dict[str, list[str]], caller: Call, mode: GenerationMode
) -> None:
    load_all_checks()
    names = ("status_code", "content_type", "response_schema", "response_headers")
    checks: Any = [CHECKS.get_one(f"{name}_conformance") for name in names]
    tokens = [caller(code).token for code in ("H29", "H29.5")]
    description: Any = openapi.from_wsgi("/api/v1/schema/?format=json", served, base_url=HOST)
    asked: set[str] = set()
    operations = [found.ok() for found in description.get_all_operations()]
    for operation in operations:

        @SEARCH
        @given(operation.as_strategy(generation_mode=mode), st.data())
        def probe(case: Case[Any], data: st.DataObject) -> None:
            for name in known.keys() & (case.path_parameters or {}).keys():
                if data.draw(st.booleans(), label=f"{name} that is there"):
                    case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
            (case.query or {}).pop("wait", None)  # nothing comes here, however long one waits
            headers = {"Authorization": f"Bearer {data.draw(st.sampled_from(tokens))}"}
            answer = case.call_and_validate(HOST, headers=headers, checks=checks)
            asked.add(case.operation.label)
            assert answer.status_code < 500 or answer.json()["code"] == NOT_YET

        with nullcontext() if mode is GenerationMode.POSITIVE else suppress(Unsatisfiable):
            probe()  # where any text will do, nothing breaks the description
    assert len(asked) >= (len(operations) if mode is GenerationMode.POSITIVE else len(operations) // 2)
