"""A fast receiver in a process of its own: `python -m tests.bench.receiver PORT DELAY_MS`.

POST acknowledges by digest after the delay; GET gives, and forgets, when each package arrived.
"""

import asyncio
import hashlib
import sys
import time

from aiohttp import web


def application(delay: float) -> web.Application:
    """The receiver as an aiohttp application."""
    arrived: dict[str, float] = {}

    async def take(request: web.Request) -> web.Response:
        raw = await request.read()
        arrived.setdefault(request.headers.get("X-Exchange-Package", ""), time.time())
        await asyncio.sleep(delay)
        return web.json_response({"sha256": hashlib.sha256(raw).hexdigest()})

    async def tell(_request: web.Request) -> web.Response:
        told = dict(arrived)
        arrived.clear()
        return web.json_response(told)

    made = web.Application(client_max_size=1 << 28)
    made.add_routes([web.post("/edxml", take), web.get("/arrived", tell)])
    return made


if __name__ == "__main__":
    web.run_app(
        application(int(sys.argv[2]) / 1000),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        access_log=None,
    )
