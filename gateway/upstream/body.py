"""The body of a provider's answer, read in bounded time and bounded size.

Invariant: no read waits for ever; what runs out of time or room is an UpstreamError in our words. The first byte and
each one after it have deadlines of their own, because a song may take minutes to begin but must not pause that long.
It must not know what the bytes mean.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from gateway.errors import UpstreamError

# When a deadline is noticed so long after it has passed, it was we who stood still, and not the provider alone.
_LATE_SECONDS = 1.0


@asynccontextmanager
async def until(when: float, what: str) -> AsyncIterator[None]:
    """Ends what it encloses at `when` (the loop's time) with `upstream_timeout`: "The provider `what`"."""
    try:
        async with asyncio.timeout_at(when):
            yield
    except aiohttp.ConnectionTimeoutError:
        raise  # The connector's own deadline, which is translated with the other connection errors.
    except TimeoutError:
        raise UpstreamError("upstream_timeout", f"The provider {what}. Try again later.") from None


def soon(seconds: float) -> float:
    """The loop's time in so many seconds."""
    return asyncio.get_running_loop().time() + seconds


class Body:
    """The bytes as they come: the first by `first` (the loop's time), then never more than `idle` seconds apart."""

    def __init__(self, response: aiohttp.ClientResponse, first: float, idle: float) -> None:
        self._content = response.content
        self._first: float | None = first
        self._idle = idle

    async def read(self) -> bytes:
        """The next bytes, as many as there are; none at the end. Raises `upstream_timeout` and aiohttp's errors."""
        if self._first is not None:
            when, what = self._first, "did not begin in time"
        else:
            when, what = soon(self._idle), f"fell silent for {self._idle:g} seconds"
        try:
            data = await self._read_by(when, what)
        except UpstreamError:
            # A machine that was asleep, or moved, has not looked for so long: what has come meanwhile is read first.
            if soon(-_LATE_SECONDS) < when:
                raise
            data = await self._read_by(soon(_LATE_SECONDS), what)
        self._first = None
        return data

    async def _read_by(self, when: float, what: str) -> bytes:
        async with until(when, what):
            # Never line by line: aiohttp limits a line to less than one event of wav may have.
            return await self._content.readany()

    async def read_all(self, limit: int) -> bytes:
        """Everything, up to `limit` bytes; more is `upstream_protocol`."""
        body = bytearray()
        while data := await self.read():
            body += data
            if len(body) > limit:
                raise UpstreamError("upstream_protocol", f"The provider sent an answer of more than {limit} bytes.")
        return bytes(body)


async def beginning(response: aiohttp.ClientResponse, seconds: float, limit: int) -> bytes:
    """What can be had of a body that only explains an error, in `seconds` and up to `limit` bytes; never raises."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(body) < limit and (data := await response.content.readany()):
                body += data
    except (aiohttp.ClientError, OSError):  # A timeout is an OSError too.
        pass
    return bytes(body[:limit])
