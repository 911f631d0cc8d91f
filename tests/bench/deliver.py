"""Benches of the way out: push, pull, and how long a package is under way."""

import asyncio
import hashlib
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

import aiohttp

from tests import live
from tests.bench import floor, load
from tests.bench.accept import SMALL
from tests.bench.crowd import PULLED, PUSHED
from tests.bench.rows import Row
from tests.bench.stage import Stage, connect, cpu

Acknowledge = Callable[[aiohttp.ClientSession, str, dict[str, str], dict[str, str]], Awaitable[None]]
ROUNDS, PUSHES, PULLS = 5, 400, 400
IDLE, PACED, PACE = 40, 400, 100


def pushes(stage: Stage) -> list[Row]:
    """Everything waits for a paused system; then it is resumed. The medians of ROUNDS, in turns with the
    floor."""
    rounds, floors = [], []
    connect(stage.hub)
    plain = None
    for _ in range(ROUNDS):
        documents = stage.documents(PUSHES, SMALL, PUSHED)
        rounds.append(_pushed(stage, documents))
        plain = plain or _Floor.of(stage)
        floors.append(plain.rate(documents))
    rates, worker, receiver = zip(*rounds, strict=True)
    return [
        Row("push 20 KB", median(rates), "/s", "≥ 1,200/s, ≥ 60% of floor", median(floors)),
        Row("push 20 KB, CPU of the worker", 1000 * median(worker) / PUSHES, "ms each"),
        Row("push 20 KB, CPU of the receiver", 1000 * median(receiver) / PUSHES, "ms each"),
    ]


def _pushed(stage: Stage, documents: list[bytes]) -> tuple[float, float, float]:
    """The rate of one round, and the processor seconds of worker and receiver."""
    from django.utils import timezone

    from agencies.models import System

    pushed = System.objects.filter(name="pushed")
    pushed.update(paused_at=timezone.now())
    _send(stage, documents)
    stage.arrived()
    worker = [pid for pid, line in live.descendants(stage.hub.supervisor.pid) if "worker --pool" in line]
    before = cpu(worker), cpu([stage.receiver_pid])
    pushed.update(paused_at=None)
    arrived: dict[str, float] = {}

    def all_there() -> bool:
        arrived.update(stage.arrived())
        return len(arrived) >= len(documents)

    live.until(all_there, "every push")
    live.until(lambda: not _queued(), "the books")
    times = sorted(arrived.values())
    spent = cpu(worker) - before[0], cpu([stage.receiver_pid]) - before[1]
    return (len(documents) / (times[-1] - times[0]), *spent)


def _queued() -> bool:
    from exchange.models import Delivery

    return Delivery.objects.queued().filter(push=True).exists()


def _send(stage: Stage, documents: list[bytes]) -> None:
    call = load.post(f"{stage.url}/api/v1/packages", documents, stage.headers("office"), expect=201)
    load.closed(call, len(documents), 8)


@dataclass(frozen=True, slots=True)
class _Floor:
    """Claim, send with the same client and write the same rows, batch by batch; nothing else."""

    url: str
    rows: dict[str, list[tuple[Any, ...]]]

    @classmethod
    def of(cls, stage: Stage) -> Self:
        """That of a push that the hub made."""
        from exchange.models import Delivery

        sample = Delivery.objects.filter(state="handed_over", push=True, recipient_code=PUSHED)[0]
        return cls(f"http://127.0.0.1:{stage.receiver}/edxml", floor.prepare(str(sample.package_id)))

    def rate(self, documents: list[bytes]) -> float:
        """Of one round."""
        floor.queue(self.rows, len(documents))
        began = time.perf_counter()
        asyncio.run(self._send(documents))
        return len(documents) / (time.perf_counter() - began)

    async def _send(self, documents: list[bytes]) -> None:
        written, slots = floor.of_handover(self.rows), asyncio.Semaphore(64)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(raw: bytes) -> None:
                async with slots, session.post(self.url, data=raw) as response:
                    await response.read()

            for start in range(0, len(documents), 200):
                claimed = await asyncio.to_thread(floor.claim, 200)
                await asyncio.gather(*(one(raw) for raw in documents[start : start + 200]))
                await asyncio.to_thread(floor.settle, written, claimed)


def pulls(stage: Stage) -> list[Row]:
    """Four pollers of one system: a page of 50, each content, and the acknowledgements of the page together;
    then one by one."""
    together, alone = _pulled(stage, _acknowledge_all), _pulled(stage, _acknowledge_each)
    return [
        Row("pull: page, contents, one ack", together, "/s", "≥ 400/s"),
        Row("pull: page, contents, an ack for each", alone, "/s", "≥ 400/s"),
    ]


def _pulled(stage: Stage, acknowledge: Acknowledge) -> float:
    _send(stage, stage.documents(PULLS, SMALL, PULLED))
    headers = {"Authorization": f"Bearer {stage.tokens['puller']}"}
    api, taken = f"{stage.url}/api/v1", itertools.count()

    async def poll(session: aiohttp.ClientSession, _number: int) -> None:
        async with session.get(f"{api}/inbox?limit=50&lease=120", headers=headers) as response:
            items = (await response.json())["items"]
        received = {}
        for item in items:
            content = f"{api}/deliveries/{item['delivery']}/content"
            async with session.get(content, headers=headers) as response:
                received[item["delivery"]] = hashlib.sha256(await response.read()).hexdigest()
            next(taken)
        await acknowledge(session, f"{api}/deliveries", headers, received)

    times = load.closed(poll, PULLS // 50, 4)
    return next(taken) / times.whole


async def _acknowledge_all(
    session: aiohttp.ClientSession, api: str, headers: dict[str, str], received: dict[str, str]
) -> None:
    body = {"deliveries": [{"delivery": key, "sha256": digest} for key, digest in received.items()]}
    async with session.post(f"{api}/ack", json=body, headers=headers) as response:
        items = (await response.json())["items"]
        assert len(items) == len(received) and all(item["receipt"] for item in items), items


async def _acknowledge_each(
    session: aiohttp.ClientSession, api: str, headers: dict[str, str], received: dict[str, str]
) -> None:
    for key, digest in received.items():
        async with session.post(f"{api}/{key}/ack", json={"sha256": digest}, headers=headers) as response:
            assert response.status == 200, await response.text()


def latency(stage: Stage) -> list[Row]:
    """From the beginning of the POST to the arrival of the bytes."""
    idle = _under_way(stage, IDLE, 4)
    loaded = _under_way(stage, PACED, PACE)
    return [
        Row("POST to recipient, idle, p50", idle.share(0.5) * 1000, "ms", "≤ 60 ms"),
        Row("POST to recipient, idle, p99", idle.share(0.99) * 1000, "ms", "≤ 250 ms"),
        Row(f"POST to recipient at {PACE}/s, p99", loaded.share(0.99) * 1000, "ms", "≤ 1,000 ms"),
    ]


def _under_way(stage: Stage, number: int, pace: float) -> load.Times:
    documents = stage.documents(number, SMALL, PUSHED)
    stage.arrived()
    begun: dict[str, float] = {}

    async def call(session: aiohttp.ClientSession, one: int) -> None:
        at = time.time()
        url, headers = f"{stage.url}/api/v1/packages", stage.headers("office")
        async with session.post(url, data=documents[one], headers=headers) as response:
            begun[(await response.json())["id"]] = at

    load.paced(call, number, pace)
    arrived: dict[str, float] = {}

    def all_there() -> bool:
        arrived.update(stage.arrived())
        return len(arrived) >= number

    live.until(all_there, "every arrival")
    return load.Times([arrived[package] - at for package, at in begun.items()], 1.0)
