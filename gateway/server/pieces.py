"""Answers with a piece of a song that is there already: small parts, and the first bytes that players look at.

Invariant: a piece is cut out of what is retained, nobody becomes a listener for it, and nothing is kept; it counts as
sent all the same. It must not know who asks.
"""

import asyncio
from contextlib import suppress

from aiohttp import web

from gateway.errors import UpstreamError
from gateway.relay.channel import Channel
from gateway.server.listening import Offer

# What a socket takes at once needs no listener, and its connection can be used again.
SMALL_BYTES = 32 * 1024


def small(offer: Offer) -> bool:
    """Whether this is answered at once."""
    return offer.part.length is not None and offer.part.length <= SMALL_BYTES


def at_once(offer: Offer) -> web.Response:
    """A small part."""
    assert offer.part.length is not None
    body = cut(offer.channel, offer.first_chunk, offer.part.first, offer.part.length)
    tally = offer.channel.tally("http")
    tally.chunks += 1
    tally.size += len(body)
    offer.channel.flush_tallies()
    return _answer(offer, offer.status, body, offer.headers(offer.channel.details, 0))


def probed(offer: Offer, length: int) -> web.Response:
    """The first `length` bytes of what a listener would hear. Raises UpstreamError when there is nothing yet."""
    body = cut(offer.channel, offer.first_chunk, 0, length)
    if not body:
        sentence = "The song has not begun to sound: ask again in a moment."
        raise UpstreamError("upstream_timeout", sentence, retry_after=1.0)
    total = "*" if offer.part.length is None else offer.part.length
    said = offer.headers(offer.channel.details, 0) | {"Content-Range": f"bytes 0-{len(body) - 1}/{total}"}
    return _answer(offer, 206, body, said)


def _answer(offer: Offer, status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    headers.pop("Content-Length", None)
    return web.Response(status=status, body=body, headers=headers)


def cut(channel: Channel, begin: int, first: int, length: int) -> bytes:
    """Up to `length` bytes from byte `first` on of the body that begins with chunk `begin`."""
    pieces, at, stop = [], 0, first + length
    payload = channel.init.payload if channel.init else b""
    for chunk in (None, *channel.retained[max(0, begin - channel.first) :]):
        if at >= stop:
            break
        payload = payload if chunk is None else chunk.payload
        pieces.append(payload[max(0, first - at) : stop - at])
        at += len(payload)
    return b"".join(pieces)


class FirstSound:
    """Waits for the first chunk of a channel, as one of those that follow it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._came = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until it is there, or nothing follows any more, or so many seconds have passed."""
        self._channel.followers[self] = None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._came.wait()
        finally:
            self._channel.followers.pop(self, None)

    def pump(self) -> None:
        """There is a chunk, or an end."""
        self._came.set()

    def tell(self, text: bytes) -> None:
        """News beside the sound are no sound."""

    def fail(self) -> None:
        """A fault of ours on the way: whoever waits looks again."""
        self._came.set()
