"""A system enrolled for notices: told once of what came, over HTTP, by a whole hub; and told by another
worker when the first was killed while it was telling."""

import json
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from tests import live, receiver
from tests.live import LiveHub, until
from tests.receiver import Received
from tests.world import Keys, World

pytestmark = pytest.mark.postgresql

PACKAGES = 20


def enrol(hub: LiveHub, url: str) -> str:
    """A new agency on a system that pulls and wants notices; its webhook secret."""
    hub.manage("enrol_agency", "H29.77", "Sở Nội vụ")
    words = ("enrol_system", "home", "--agency", "H29.77", "--notice", "--callback-url", url, "--json")
    made = json.loads(hub.manage(*words))
    hub.clients["home"] = (made["client_id"], made["client_secret"])
    return str(made["webhook_secret"])


def send(hub: LiveHub, city: World, token: str) -> None:
    assert hub.send(token, city.document("H29", "H29.77"))[0] == 201


def fetch_all(hub: LiveHub, token: str) -> int:
    """Take what the inbox has; how much that was."""
    items = hub.call(token, "GET", "inbox?limit=100")[1]["items"]
    for item in items:
        _, raw = hub.call(token, "GET", f"deliveries/{item['delivery']}/content")
        digest = {"sha256": sha256(raw).hexdigest()}
        assert hub.call(token, "POST", f"deliveries/{item['delivery']}/ack", digest)[0] == 200
    return len(items)


def test_many_packages_are_one_notice_until_the_system_asks(tmp_path: Path, keys: Keys) -> None:
    city = World(keys)
    with (
        receiver.running(receiver.status(204)) as home,
        live.running(tmp_path, keys, "http://127.0.0.1:9/") as hub,
    ):
        secret, office = enrol(hub, home.url), hub.token("office")
        mine = hub.token("home")
        for _ in range(PACKAGES):
            send(hub, city, office)
        until(lambda: home.received, "the notice")
        assert fetch_all(hub, mine) == PACKAGES
        send(hub, city, office)
        until(lambda: len(home.received) > 1, "the next notice")
        first, second = home.received
        for told in home.received:
            assert Webhook(secret).verify(told.body, told.headers)["type"] == "inbox"
        assert first.headers["webhook-id"] != second.headers["webhook-id"]
        assert fetch_all(hub, mine) == 1


def test_a_notice_whose_worker_was_killed_is_sent_by_another(tmp_path: Path, keys: Keys) -> None:
    city, released = World(keys), threading.Event()

    def hang_once(_request: Received) -> tuple[int, bytes, dict[str, str]]:
        if len(home.received) == 1:
            released.wait(60)
        return 200, b"", {}

    with (
        receiver.running(hang_once) as home,
        live.running(
            tmp_path, keys, "http://127.0.0.1:9/", HUB_LEASE_SECONDS="15", HUB_PUSH_SECONDS="14"
        ) as hub,
    ):
        enrol(hub, home.url)
        send(hub, city, hub.token("office"))
        until(lambda: home.received, "the first notice")
        assert hub.kill("worker")
        released.set()
        until(lambda: len(home.received) > 1, "the second notice")
        first, second = home.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        told = "SELECT count(*) FROM exchange_inboxnotice WHERE told_at IS NOT NULL AND failures = 0"
        until(lambda: hub.ask(told) == [(1,)], "the answer to be written")
