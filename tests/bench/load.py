"""A cheap load generator: one event loop, aiohttp, closed loops or a fixed rate; and how times are told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from statistics import quantiles

import aiohttp

Call = Callable[[aiohttp.ClientSession, int], Awaitable[None]]


@dataclass(slots=True)
class Times:
    """Seconds of each call, and of the whole run."""

    each: list[float] = field(default_factory=list)
    whole: float = 0.0

    @property
    def rate(self) -> float:
        """Calls per second."""
        return len(self.each) / self.whole

    def share(self, part: float) -> float:
        """The time within which `part` of the calls ended."""
        if len(self.each) < 2:
            return self.each[0]
        return quantiles(self.each, n=1000, method="inclusive")[min(998, int(part * 1000) - 1)]


def closed(call: Call, number: int, clients: int, over: Callable[[], bool] = lambda: False) -> Times:
    """`number` calls by so many clients, each of which waits for its answer before it calls again; fewer
    when it is `over` before."""

    async def run() -> Times:
        times, numbers = Times(), iter(range(number))
        async with _session(clients) as session:

            async def client() -> None:
                for one in takewhile(lambda _: not over(), numbers):
                    await _timed(call, session, one, times)

            began = time.perf_counter()
            await asyncio.gather(*(client() for _ in range(clients)))
            times.whole = time.perf_counter() - began
        return times

    return asyncio.run(run())


def paced(call: Call, number: int, per_second: float) -> Times:
    """`number` calls begun at a fixed rate, whether earlier ones have ended or not."""

    async def run() -> Times:
        times = Times()
        async with _session(0) as session:
            began = time.perf_counter()
            tasks = []
            for one in range(number):
                await asyncio.sleep(max(0.0, began + one / per_second - time.perf_counter()))
                tasks.append(asyncio.ensure_future(_timed(call, session, one, times)))
            await asyncio.gather(*tasks)
            times.whole = time.perf_counter() - began
        return times

    return asyncio.run(run())


async def _timed(call: Call, session: aiohttp.ClientSession, number: int, times: Times) -> None:
    began = time.perf_counter()
    await call(session, number)
    times.each.append(time.perf_counter() - began)


def _session(connections: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=connections)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120))


def post(url: str, bodies: Sequence[bytes], headers: dict[str, str], *, expect: int) -> Call:
    """POST the n-th body; any other answer than `expect` ends the run."""

    async def call(session: aiohttp.ClientSession, number: int) -> None:
        async with session.post(url, data=bodies[number], headers=headers) as response:
            answer = await response.read()
            if response.status != expect:
                raise RuntimeError(f"{url}: {response.status} {answer[:500]!r}")

    return call
