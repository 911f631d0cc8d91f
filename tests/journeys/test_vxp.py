"""Existing clients against a whole hub: real sockets, the real web server, headers as they travel."""

import base64
import json
import socket
from pathlib import Path

import pytest

from exchange.envelope import package as envelope
from fixtures.vxp import OCTETS, Client
from tests import live
from tests.live import LiveHub
from tests.world import DAY, NOW, Keys

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("keys")]


def enrol(hub: LiveHub, code: str, name: str) -> dict[str, str]:
    """A new agency on a new system of the VXP face; what the command printed."""
    hub.manage("enrol_agency", code, name)
    made: dict[str, str] = json.loads(
        hub.manage("enrol_system", name, "--kind", "vxp", "--agency", code, "--json")
    )
    return made


def letter(sender: str, recipient: str, number: str) -> bytes:
    """An unsigned document, as these clients send them."""
    content = envelope.document(
        sender=envelope.Organ(sender),
        recipients=[envelope.Organ(recipient)],
        code=envelope.Code(number, "KH-TEST"),
        day=DAY,
        subject="Kế hoạch",
        at=NOW,
    )
    return envelope.build(content)


def raw_answer(port: int, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """What the server says before the body is sent, and after it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        first = connection.recv(4096)
        connection.sendall(body)
        rest = b""
        while block := connection.recv(65536):
            rest += block
        return first, rest


def test_two_unchanged_clients_exchange_a_document(tmp_path: Path, keys: Keys) -> None:
    with live.running(tmp_path, keys, "http://127.0.0.1:9/") as hub:
        one, two = enrol(hub, "H29.71", "Sở Một"), enrol(hub, "H29.72", "Sở Hai")
        base = f"http://127.0.0.1:{hub.port}"
        sender = Client(f"{base}/vxp", one["vxp_id"], one["vxp_secret"])
        recipient = Client(f"{base}/XrdAdapter/adapter/", two["vxp_id"], two["vxp_secret"], docid="docid")

        raw = letter("H29.71", "H29.72", "1")
        sent = sender.send(raw, "H29.71")
        assert sent["status"] == "OK", sent
        assert sender.send(raw, "H29.71")["DocId"] == sent["DocId"]
        for number in ("2", "3"):
            sender.send(letter("H29.71", "H29.72", number), "H29.71")

        # Headers that differ in case only, on a real wire.
        for count, item in zip((3, 2, 1), recipient.received()["data"], strict=True):
            assert recipient.count() == count
            got = recipient.get(item["docId"], "C:\\Van ban den\\2026")
            assert base64.b64decode(got["data"]).startswith(b"<?xml")
            assert recipient.download(item["docId"]) == base64.b64decode(got["data"])
            assert recipient.update(item["docId"], "done")["status"] == "OK"
        assert recipient.received()["data"] == []
        assert [item["sendStatus"] for item in sender.sent_list(sent["DocId"])["data"]] == ["done"]
        assert len(recipient.agencies()["data"]) == 7

        # `Expect: 100-continue` with a slow body: told to go on, then answered.
        asked = {"servicetype": "eDoc", "messagetype": "edoc", "hash-file": "0", "from": "H29.71"}
        lines = {**sender.headers(OCTETS, asked), "Expect": "100-continue", "Content-Length": "7"}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        start = f"POST /vxp/sendEdoc HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{head}\r\n"
        first, rest = raw_answer(hub.port, start.encode(), b"hello\r\n")
        assert first.startswith(b"HTTP/1.1 100 Continue")
        assert b'"ErrorCode":"10"' in rest

        # The web server gives no header with a letter beyond ASCII on, so its signature cannot be checked.
        assert recipient.get(sent["DocId"], "C:\\Văn bản")["ErrorCode"] == "15"

        # Headers that no client sends: refused by the server or by the face, and the hub lives on.
        huge = sender.headers(OCTETS, {"filePath": "x" * 60_000})
        status, answer = sender.exchange("POST", "getReceivedEdocList", b"", huge)
        assert status >= 400 or b'"ErrorCode":"15"' in answer
        split = start.replace("XroadVnpt-from: H29.71", "XroadVnpt-from: H29.71\r\nXroadVnpt-from: H29")
        # A small body arrives before the face sees the headers (exchange.arriving).
        first, rest = raw_answer(hub.port, split.encode(), b"hello\r\n")
        assert b'"ErrorCode":"15"' in first + rest
        sender.sent.pop("filePath")
        assert sender.received()["status"] == "OK"
