"""Bodies arrive before anything works on them, so that a slow sender keeps out nobody.

Without this, as many callers as there are threads, sending their bodies slowly or never, would silence the
web process, and two of them every large package. A small body arrives on the event loop, with no thread. A
large one arrives when the application first wants it, so after it knows who sends it.
"""

import asyncio
from collections.abc import AsyncIterable
from tempfile import SpooledTemporaryFile
from typing import IO

from exchange.refusals import Refused

IN_MEMORY = 256 * 1024
BUSY_SECONDS = 10
_PLACE_SECONDS = 0.5  # many bodies that come quickly only look like too many for a moment


class Arriving:
    """Takes bodies in: in memory, above IN_MEMORY bytes in a file.

    At most `places` arrive at once. Of a body at most `limit` bytes are read, one more shows the application
    that it is too large.
    """

    def __init__(self, *, places: int, limit: int) -> None:
        self._places, self._limit = asyncio.Semaphore(places), limit

    async def body(self, chunks: AsyncIterable[bytes], announced: int | None) -> IO[bytes]:
        """The whole body, at its start. Nothing of one that is announced as too large: its length alone
        refuses it. Raises Refused hub.busy."""
        body = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - it ends with the request
        if (announced or 0) > self._limit:
            return body
        try:
            await asyncio.wait_for(self._places.acquire(), _PLACE_SECONDS)
        except TimeoutError as error:
            raise Refused("hub.busy", seconds=BUSY_SECONDS) from error
        try:
            left = self._limit + 1
            async for chunk in chunks:
                body.write(chunk[:left])
                left -= len(chunk)
                if left <= 0:
                    break
        finally:
            self._places.release()
        body.seek(0)
        return body


class LateBody:
    """`wsgi.input` of a large body, for the thread that reads it."""

    def __init__(
        self,
        chunks: AsyncIterable[bytes],
        announced: int | None,
        into: Arriving,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._chunks, self._announced, self._into, self._loop = chunks, announced, into, loop
        self._arrived: IO[bytes] | None = None

    def arrive(self) -> IO[bytes]:
        """All of it, from its beginning. Raises Refused hub.busy."""
        if self._arrived is None:
            coming = self._into.body(self._chunks, self._announced)
            self._arrived = asyncio.run_coroutine_threadsafe(coming, self._loop).result()
        return self._arrived

    def read(self, size: int = -1) -> bytes:
        """As of a file. Raises Refused hub.busy."""
        return self.arrive().read(size)

    def readline(self, size: int = -1) -> bytes:
        """As of a file. Raises Refused hub.busy."""
        return self.arrive().readline(size)
