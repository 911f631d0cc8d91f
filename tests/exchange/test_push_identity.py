"""The hub shows a client certificate to a receiver that wants one (mutual TLS)."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.core.management import CommandError, call_command

from agencies.models import System
from exchange import pushing, registry
from exchange.models import Attempt, Delivery, Event, Lane, Outcome, State
from fixtures.pki import Authority, pem, private_pem
from tests.receiver import served
from tests.world import ACTOR, NOW, World

BY = registry.Change(ACTOR, NOW)


@contextmanager
def strict_receiver(authority: Authority, directory: Path) -> Iterator[tuple[str, list[Any]]]:
    """Takes pushes of clients with a certificate of `authority` only; its URL, and whom it saw."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.connection.getpeercert())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Stay quiet."""

    own = authority.issue("127.0.0.1", names=[x509.IPAddress(ip_address("127.0.0.1"))])
    key, certificate = own.save(directory, "receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=pem([authority.certificate]).decode())
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with served(server):
        yield f"https://127.0.0.1:{server.server_port}/", seen


def test_a_receiver_that_asks_for_a_certificate_gets_the_systems_own(hub: World, tmp_path: Path) -> None:
    authority, health = Authority.create("Receivers"), hub.systems["health"]
    client = authority.issue("hub")
    with strict_receiver(authority, tmp_path) as (url, seen):
        root = pem([authority.certificate]).decode()
        registry.update_system(health, by=BY, callback_url=url, ca_pem=root)
        [row] = hub.send("H29", "H29.17").deliveries
        pushing.push_lane(Lane.NORMAL)
        assert Attempt.objects.get().outcome == Outcome.UNREACHABLE, "without one it is turned away"
        assert not seen

        key, certificate = client.save(tmp_path, "client")
        call_command("show_certificate", "health", "--key", str(key), "--certificate", str(certificate))
        Delivery.objects.update(due_at=NOW)
        pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER
    assert dict(part[0] for part in seen[0]["subject"])["commonName"] == "hub"
    stored = bytes(System.objects.get(pk=health.pk).push_identity)
    assert b"PRIVATE" not in stored, "kept encrypted"
    assert Event.objects.filter(stream=health.pk, name="PolicyChange").exists()


def test_key_and_certificate_must_belong_together_and_need_no_password(hub: World, tmp_path: Path) -> None:
    authority, health = Authority.create("Receivers"), hub.systems["health"]
    one, other = authority.issue("one"), authority.issue("other")
    locked = one.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    certificate = pem([one.certificate])
    for wrong in (private_pem(other.key) + certificate, locked + certificate, certificate, b"nonsense"):
        with pytest.raises(registry.EnrolmentError) as error:
            registry.show_when_pushing(health, wrong, by=BY)
        assert error.value.code == "system.identity-invalid"
    with pytest.raises(CommandError, match="--none"):
        call_command("show_certificate", "health")
    registry.show_when_pushing(health, private_pem(one.key) + certificate, by=BY)
    call_command("show_certificate", "health", "--none")
    assert not System.objects.get(pk=health.pk).push_identity
