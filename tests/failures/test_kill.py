"""`kill -9` in the middle: nothing accepted is lost, nothing is handed over twice in the books."""

import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from exchange.evidence import events
from tests import live, receiver
from tests.live import LiveHub, until
from tests.world import Keys, World

DOCUMENTS = 100
RECIPIENTS = ("H29.5", "H29.10", "H29.17", "H29.121", "H29")  # the sender's own system receives too
PULLING = {"transport": ("H29.5",), "office": ("H29", "H29.10"), "district": ("H29.121",)}
KILLS = ("worker", "web", "worker", "web", "worker")


class Poller(threading.Thread):
    """A pulling system: lists, fetches, computes the digest, acknowledges; notes every delivery it saw."""

    def __init__(self, hub: LiveHub, system: str, finished: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.hub, self.system, self.finished = hub, system, finished
        self.seen: Counter[str] = Counter()
        self.problems: list[object] = []

    def run(self) -> None:
        token = self.hub.token(self.system)
        while not self.finished():
            status, page = self.hub.call(token, "GET", "inbox?limit=50&lease=5&wait=1")
            for item in page["items"] if status == 200 else ():
                self.take(token, item["delivery"])

    def take(self, token: str, delivery: str) -> None:
        status, raw = self.hub.call(token, "GET", f"deliveries/{delivery}/content")
        self.seen[delivery] += 1
        digest = {"sha256": sha256(raw).hexdigest()}
        acknowledged, answer = self.hub.call(token, "POST", f"deliveries/{delivery}/ack", digest)
        if (status, acknowledged) != (200, 200):
            self.problems.append((status, answer))


def test_kill_9_of_worker_and_web_loses_and_doubles_nothing(tmp_path: Path, keys: Keys) -> None:
    city, accepted, answers = World(keys), {}, []
    packages = [city.document("H29", *RECIPIENTS) for _ in range(DOCUMENTS)]
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url) as hub:
        done = threading.Event()
        pollers = [Poller(hub, system, done.is_set) for system in PULLING]
        for poller in pollers:
            poller.start()
        token, kills = hub.token("office"), iter(KILLS)
        for number, raw in enumerate(packages):
            if number % (DOCUMENTS // len(KILLS)) == 10:
                assert hub.kill(next(kills)), "there was nothing to kill"
            status, answer = hub.send(token, raw)
            answers.append(status)
            accepted[answer["id"]] = [item["id"] for item in answer["deliveries"]]
        assert set(answers) <= {200, 201}
        assert len(accepted) == DOCUMENTS

        def open_deliveries() -> list[str]:
            path = "packages?direction=sent&state=queued"
            return [item["id"] for item in hub.call(token, "GET", path)[1]["items"]]

        until(lambda: not open_deliveries(), "every delivery to be handed over")
        done.set()
        for poller in pollers:
            poller.join(60)
            assert not poller.is_alive()
            assert poller.problems == []

        wanted = {delivery for deliveries in accepted.values() for delivery in deliveries}
        assert len(wanted) == DOCUMENTS * len(RECIPIENTS)
        pushed = Counter(request.headers["x-exchange-delivery"] for request in endpoint.received)
        seen = sum((poller.seen for poller in pollers), pushed)
        assert set(seen) == wanted, "every recipient saw each of its deliveries at least once"
        for package, deliveries in accepted.items():
            trail = hub.call(token, "GET", f"packages/{package}/trail")[1]["items"]
            handed = Counter(
                event.delivery
                for item in trail
                if (event := events.decode(item["event"].encode())).event == "ContentHandover"
            )
            assert handed == Counter(deliveries), "exactly one handover per delivery in the books"
