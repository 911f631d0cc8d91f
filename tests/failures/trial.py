"""A hub under load while something breaks; and what must hold afterwards, whatever broke.

Documents go to a system that is pushed to and to one that pulls. Every client tries again as a real one does.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from tests.live import LiveHub, until
from tests.receiver import Receiver
from tests.world import World

PUSHED, PULLED, PULLING = "H29.17", "H29.5", "transport"


class Poller(threading.Thread):
    """A pulling system: lists, fetches, computes the digest, acknowledges; notes every delivery it saw."""

    def __init__(self, hub: LiveHub, system: str, finished: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.hub, self.system, self.finished = hub, system, finished
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        token = self.hub.token(self.system)
        while not self.finished():
            status, page = self.hub.call(token, "GET", "inbox?limit=50&lease=20&wait=1")
            if status == 401:  # the clock says that it expired
                token = self.hub.token(self.system)
            for item in page["items"] if status == 200 else ():
                self.take(token, item["delivery"])

    def take(self, token: str, delivery: str) -> None:
        """Fetch and acknowledge; what fails is listed again when its lease ends."""
        status, raw = self.hub.call(token, "GET", f"deliveries/{delivery}/content")
        if status == 200:
            self.seen[delivery] += 1
            digest = {"sha256": sha256(raw).hexdigest()}
            self.hub.call(token, "POST", f"deliveries/{delivery}/ack", digest)


@dataclass(slots=True)
class Trial:
    """One hub, its receiver, and what was accepted so far."""

    hub: LiveHub
    city: World
    endpoint: Receiver
    pollers: int = 1
    accepted: dict[str, list[str]] = field(default_factory=dict)

    def run(self, documents: Sequence[bytes], disturb: Callable[[], None], *, senders: int = 1) -> None:
        """Send `documents` while `disturb` runs beside; then wait until all is handed over, and look."""
        done = threading.Event()
        pollers = [Poller(self.hub, PULLING, done.is_set) for _ in range(self.pollers)]
        rest = iter(documents)
        lock = threading.Lock()
        sending = [
            threading.Thread(target=self._send, args=(rest, lock), daemon=True) for _ in range(senders)
        ]
        for thread in (*pollers, *sending):
            thread.start()
        disturb()
        for thread in sending:
            thread.join()
        assert len(self.accepted) == len(documents), "every document was accepted in the end"
        until(lambda: self.hub.ask(_OPEN) == [(0,)], "every delivery to be handed over")
        done.set()
        for poller in pollers:
            poller.join(60)
        self._check([poller.seen for poller in pollers])

    def _send(self, rest: Any, lock: threading.Lock) -> None:
        token = [self.hub.token("office")]
        while True:
            with lock:
                raw = next(rest, None)
            if raw is None:
                return
            answer = until(partial(self._taken, token, raw), "a document to be accepted")
            self.accepted[answer["id"]] = [item["id"] for item in answer["deliveries"]]

    def _taken(self, token: list[str], raw: bytes) -> Any:
        """The acceptance; anything that a client tries again (5xx, 429, 401 with a new token) is None."""
        status, body = self.hub.send(token[0], raw)
        if status == 401:
            token[0] = self.hub.token("office")
            return None
        assert status in (200, 201, 429) or status >= 500, body
        return body if status in (200, 201) else None

    def _check(self, seen: list[Counter[str]]) -> None:
        wanted = {delivery for deliveries in self.accepted.values() for delivery in deliveries}
        pushed = Counter(request.headers["x-exchange-delivery"] for request in self.endpoint.received)
        assert set(sum(seen, pushed)) == wanted, "every recipient saw each of its deliveries at least once"
        assert self.hub.ask(_HANDED_OVER) == [(len(wanted),)], "each was handed over"
        assert self.hub.ask(_NOT_ONCE) == [], "exactly once in the books"
        assert self.hub.ask(_GAPS) == [], "no event is missing from its stream"
        until(lambda: self.hub.ask("SELECT count(*) FROM exchange_pending") == [(0,)], "the sealer")
        self.hub.manage("check_log")  # fails unless everything holds


def documents(city: World, number: int) -> list[bytes]:
    """So many documents; every second one goes to the pulling system as well."""
    return [
        city.document("H29", PUSHED, *([PULLED] if index % 2 else []), subject=f"Văn bản số {index}")
        for index in range(number)
    ]


def kill_at_random(hub: LiveHub, names: Sequence[str], *, times: int, pause: float) -> Callable[[], None]:
    """SIGKILL one of `names` after each pause, about; the supervisor starts it again."""

    def disturb() -> None:
        killed = 0
        for turn in range(times):
            time.sleep(random.uniform(0.5, 1.5) * pause)
            killed += hub.kill(names[turn % len(names)])
        assert killed, "there was nothing to kill"

    return disturb


_OPEN = "SELECT count(*) FROM exchange_delivery WHERE state <> 'handed_over'"
_HANDED_OVER = "SELECT count(*) FROM exchange_delivery WHERE state = 'handed_over'"
_NOT_ONCE = (
    "SELECT delivery, count(*) FROM exchange_event WHERE name LIKE 'ContentHandover%' "
    "GROUP BY delivery HAVING count(*) <> 1"
)
_GAPS = "SELECT stream FROM exchange_event GROUP BY stream HAVING count(*) <> max(seq) OR min(seq) <> 1"
