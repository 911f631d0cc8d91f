"""What log lines say, what they never say, and the security stream."""

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError
from django.test import Client

from exchange import logs, registry, siem
from tests import live, receiver, world
from tests.api.conftest import Caller, fetch_token
from tests.live import until
from tests.world import Keys, World

pytestmark = pytest.mark.once

Lines = list[dict[str, Any]]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.fixture
def lines() -> Iterator[Callable[[], Lines]]:
    """The JSON lines written during the test."""
    kept: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(self.format(record))

    handler = Keep()
    handler.setFormatter(logs.formatter(as_json=True))
    root, watch = logging.getLogger(), logging.getLogger("exchange.api.watch")
    root.addHandler(handler)
    level = watch.level
    watch.setLevel(logging.INFO)
    yield lambda: [json.loads(text) for text in kept]
    watch.setLevel(level)
    root.removeHandler(handler)


# --- what a line says ----------------------------------------------------------------------------------


def _sender(hub: World, client: Client) -> Caller:
    return Caller(client, fetch_token(client, hub.clients["office"]).json()["access_token"])


def test_the_lines_of_a_request_name_system_agency_and_package(
    hub: World, client: Client, lines: Callable[[], Lines]
) -> None:
    sender = _sender(hub, client)
    answer = sender.send(hub.document("H29", "H29.5"), headers={"X-Request-Id": "r-1"})
    mine = [line for line in lines() if line.get("request_id") == "r-1"]
    assert {"package_accepted", "request"} <= {line["event"] for line in mine}
    for line in mine[-1:]:
        assert line["system"] == str(hub.systems["office"].id)
        assert (line["agency"], line["package"]) == ("H29", answer.json()["id"])
        assert (line["route"], line["status"], line["source"]) == ("api/v1/packages", 201, "127.0.0.1")


def test_a_line_about_a_delivery_names_it(hub: World, client: Client, lines: Callable[[], Lines]) -> None:
    delivery = hub.send("H29", "H29.5").deliveries[0]
    recipient = Caller(client, fetch_token(client, hub.clients["transport"]).json()["access_token"])
    recipient.get(f"/deliveries/{delivery.id}")
    assert lines()[-1]["delivery"] == str(delivery.id)
    assert "?" not in lines()[-1]["route"]


def test_a_refusal_names_its_request(hub: World, client: Client, lines: Callable[[], Lines]) -> None:
    _sender(hub, client).send(b"no xml", headers={"X-Request-Id": "r-2"})
    refused = next(line for line in lines() if line["event"] == "package_refused")
    assert (refused["request_id"], refused["code"]) == ("r-2", "package.not-xml")


# --- what no line says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"client_secret": "abc"}, {"client_secret": "***"}),
        ({"Authorization": "Bearer abc"}, {"Authorization": "***"}),
        ({"text": "CCCD 079123456789."}, {"text": "CCCD ***."}),
        ({"text": "CMND 123456789"}, {"text": "CMND ***"}),
        ({"id": "0191d2a0-0000-7000-8000-123456789012"}, {"id": "0191d2a0-0000-7000-8000-123456789012"}),
        ({"milliseconds": 123456789}, {"milliseconds": 123456789}),
        ({"exception": "x\nDETAIL:  Failing row contains (mật).\ny"}, {"exception": "x\nDETAIL: ***\ny"}),
    ],
)
def test_a_line_is_scrubbed(given: dict[str, Any], shown: dict[str, Any]) -> None:
    assert logs.scrub(None, "info", given) == shown


def test_a_database_error_does_not_carry_the_row_into_the_log(lines: Callable[[], Lines]) -> None:
    try:
        raise IntegrityError(
            'null value in column "x"\nDETAIL:  Failing row contains (079123456789, Họ Tên).'
        )
    except IntegrityError:
        logging.getLogger("any").exception("failed")
    assert "Họ Tên" not in json.dumps(lines(), ensure_ascii=False)
    assert 'null value in column \\"x\\"' in json.dumps(lines())


def test_a_run_writes_no_body_no_secret_and_no_personal_number(tmp_path: Path, keys: Keys) -> None:
    """A whole hub: tokens, documents, a refused one, push, pull, a failing receiver; then its log is read."""
    city, number = World(keys), "079123456789"
    subject = f"Trích yếu không được lộ, số căn cước {number}"
    stream = tmp_path / "security.jsonl"
    raw = city.document("H29", "H29.5", "H29.17", subject=subject)
    broken = raw.replace("Trích yếu".encode(), b"Trich yeu")
    with (
        receiver.running() as endpoint,
        live.running(tmp_path, keys, endpoint.url, HUB_LOG_JSON="1", HUB_SECURITY_LOG=str(stream)) as hub,
    ):
        token = hub.token("office")
        assert hub.send(token, raw)[0] == 201
        assert hub.send(token, broken)[0] == 422
        assert hub.send("wrong-token-0123456789", raw)[0] == 401
        other = hub.token("transport")
        item = until(lambda: hub.call(other, "GET", "inbox")[1]["items"], "the inbox")[0]
        content = hub.call(other, "GET", f"deliveries/{item['delivery']}/content")[1]
        digest = {"sha256": sha256(content).hexdigest()}
        assert hub.call(other, "POST", f"deliveries/{item['delivery']}/ack", digest)[0] == 200
        until(lambda: endpoint.received, "the push")
        secrets = [secret for _, secret in hub.clients.values()]
    text = (tmp_path / "hub.log").read_text() + stream.read_text()
    assert "package_accepted" in text
    assert "token.issued" in text
    for word in (
        number,
        "không được lộ",
        "khong duoc lo",
        "edXML",
        "base64",
        token,
        other,
        "wrong-token",
        *secrets,
    ):
        assert word not in text, word
    told = {json.loads(line)["event"] for line in stream.read_text().splitlines()}
    assert {"token.issued", "request.refused", "audit.SubmissionRejection"} <= told


# --- the security stream -------------------------------------------------------------------------------


def _of_security(lines: Lines) -> Lines:
    return [line for line in lines if line["logger"] == "hub.security"]


def test_sign_ins_good_and_bad_are_told(db: None, client: Client, lines: Callable[[], Lines]) -> None:
    User.objects.create_user("an.clerk", password="right-0123456789", is_staff=True)
    form = {"username": "an.clerk", "password": "wrong-0123456789"}
    client.post("/admin/login/", form)
    client.post("/admin/login/", form | {"password": "right-0123456789"})
    client.post("/admin/logout/")
    told = _of_security(lines())
    assert [line["event"] for line in told] == ["session.refused", "session.opened", "session.closed"]
    assert {line["person"] for line in told} == {"an.clerk"}
    assert {line["source"] for line in told} == {"127.0.0.1"}
    assert "0123456789" not in json.dumps(told)


def test_tokens_and_refused_requests_are_told(hub: World, client: Client, lines: Callable[[], Lines]) -> None:
    client_id, _ = hub.clients["office"]
    fetch_token(client, (client_id, "wrong"))
    fetch_token(client, hub.clients["office"])
    client.get("/api/v1/inbox", headers={"Authorization": "Bearer nonsense"})
    told = _of_security(lines())
    assert [line["event"] for line in told] == ["token.refused", "token.issued", "request.refused"]
    assert [line["level"] for line in told] == ["warning", "info", "warning"]
    assert told[0]["client"] == client_id
    assert told[2]["code"] == "auth.required"


def test_changes_of_the_registry_are_told_once_they_are_committed(
    hub: World, lines: Callable[[], Lines], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        by = registry.Change(world.ACTOR, world.NOW, "Mật: lý do không được lộ")
        registry.suspend_agency(hub.agencies["H29.5"], by=by)
    (told,) = _of_security(lines())
    assert told["event"] == "audit.PolicyChange"
    assert (told["what"], told["target"]) == ("agency.suspended", str(hub.agencies["H29.5"].id))
    assert "không được lộ" not in json.dumps(told, ensure_ascii=False)


def test_a_changed_role_of_a_person_is_told(
    db: None, admin_client: Client, lines: Callable[[], Lines]
) -> None:
    person = User.objects.create_user("an.clerk")
    role = Group.objects.get(name="auditor")
    page = admin_client.post(
        f"/admin/auth/user/{person.pk}/change/",
        {
            "username": "an.clerk", "groups": [role.pk], "is_active": "on", "is_staff": "on",
            "date_joined_0": "2026-11-20", "date_joined_1": "08:00:00",
        },
    )  # fmt: skip
    assert page.status_code == 302, page.content
    told = _of_security(lines())[-1]
    assert (told["event"], told["person"], told["roles"], told["by"]) == (
        "person.changed", "an.clerk", ["auditor"], "admin",
    )  # fmt: skip


def test_a_name_that_is_not_in_the_list_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        siem.say("somebody.did-something")


def test_syslog_gets_lines_of_rfc_5424(hub: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        handler = logs.Syslog(f"127.0.0.1:{collector.getsockname()[1]}")
        handler.setFormatter(logs.Rfc5424("hub.test"))
        logger = logging.getLogger("hub.security")
        logger.addHandler(handler)
        try:
            siem.say("session.opened", person="An Văn")
        finally:
            logger.removeHandler(handler)
            handler.close()
        line = collector.recv(65536).decode("ascii")
    header, _, body = line.partition(" - {")
    # facility 10 (authpriv), severity 6 (info): RFC 5424, 6.2.1
    assert re.fullmatch(r"<86>1 \d{4}-\d\d-\d\dT[0-9:.]+Z \S+ hub\.test \d+ security", header)
    assert json.loads("{" + body)["person"] == "An Văn"


def test_a_collector_that_is_away_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handler = logs.Syslog(str(tmp_path / "no-socket"))
    handler.setFormatter(logs.Rfc5424("hub"))
    handler.handle(logging.LogRecord("hub.security", logging.INFO, "", 0, "x", (), None))
    assert "security_stream_lost" in caplog.text


def test_a_collector_without_an_address_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    handler = logs.Syslog("no-such-host.invalid:514")
    handler.setFormatter(logs.Rfc5424("hub"))
    handler.handle(logging.LogRecord("hub.security", logging.INFO, "", 0, "x", (), None))
    assert "security_stream_lost" in caplog.text
