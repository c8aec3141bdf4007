"""Scenes of trouble with songs and those who hear them, with the provider, with money, stores and formats.

Each is a context: inside of it the trouble goes on; when it is left the cause is gone, and the gateway goes on.
Invariant: what makes the trouble is what makes it at an operator's: clients, a provider, a Redis that is gone.
It must not know the alerts.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from gateway.config.schema import Price, Quota, Relay, Transcode, Upstream
from gateway.config.server import Server
from tests.support.gateway import Bench, hear, say, talk
from tests.support.redis import redis_server
from tests.support.scenes import Stage, again

# A minute of it is 11 MB: far more than sockets hold.
LONG = "[[scale seconds=60 speed=0]] far more than sockets hold"


@asynccontextmanager
async def lazy(gateway: Bench) -> AsyncIterator[ClientConnection]:
    """A listener with small buffers that reads nothing by itself."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    async with talk(gateway, sock=sock, max_queue=1) as line:
        try:
            yield line
        finally:
            # Whoever is cancelled while he says goodbye would leave his line open.
            line.transport.abort()


async def attached(
    stack: AsyncExitStack, gateway: Bench, count: int, stream_id: str, **how: Any
) -> list[ClientConnection]:
    """So many of them, to one song."""
    lines = [await stack.enter_async_context(lazy(gateway)) for _ in range(count)]
    for line in lines:
        await say(line, type="stream.attach", stream_id=stream_id, **how)
    return lines


# -- songs and those who hear them -------------------------------------------------------------------------------------


@asynccontextmanager
async def songs_fail(stage: Stage) -> AsyncIterator[None]:
    upstream = Upstream(retry_attempts=0, circuit_failures=1000, requests_per_minute=60000)
    gateway = await stage.gateway("songs_fail", speed=0, upstream=upstream)
    await gateway.create("[[scale seconds=1]] a song that is whole")
    async with again(lambda: stage.order(gateway.url, "[[error]] a song that cannot be made"), 0.5):
        yield


@asynccontextmanager
async def nothing_is_taken(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("nothing_is_taken", speed=0, relay=Relay(stall_timeout=1.0))
    stream_id = (await gateway.create(LONG, format="wav"))["id"]

    async def crowd() -> None:
        async with AsyncExitStack() as stack:
            await attached(stack, gateway, 12, stream_id)
            # They are cut meanwhile; what they are told then they do not read, either.
            await asyncio.sleep(3)

    async with again(crowd):
        yield


@asynccontextmanager
async def far_behind(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("far_behind", speed=0)
    stream_id = (await gateway.create(LONG, format="wav"))["id"]
    async with AsyncExitStack() as stack:
        await attached(stack, gateway, 3, stream_id)
        yield


@asynccontextmanager
async def jumps(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("jumps", speed=0, relay=Relay(live_lag=2.0))

    async def crowd() -> None:
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(lazy(gateway)) for _ in range(6)]
            prompt = "[[scale seconds=90 speed=20]] a scale that overtakes"
            stream_id = (await gateway.create(prompt, format="wav"))["id"]
            for line in lines:
                await say(line, type="stream.attach", stream_id=stream_id, on_lag="live")
            while (await gateway.info(stream_id))["status"] in ("queued", "running"):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.3)
            await asyncio.gather(*[hear(line) for line in lines])

    async with again(crowd):
        yield


@asynccontextmanager
async def no_room(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("no_room", server=Server(port=0, internal_port=0, max_connections=1))

    async def knock() -> None:
        async with talk(gateway):
            raise AssertionError("there is room")

    async with talk(gateway), again(knock):
        yield


@asynccontextmanager
async def slow_start(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("slow_start", speed=0)
    await gateway.create("[[scale seconds=1]] a song that begins at once")
    async with again(lambda: stage.order(gateway.url, "[[scale seconds=1 hold=22]] a song that takes its time"), 1.0):
        yield


@asynccontextmanager
async def songs_stop(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("songs_stop", speed=0, relay=Relay(silence_seconds=0.5))

    async def both() -> None:
        for _ in range(2):
            await stage.order(gateway.url, "[[stall seconds=4 after=1 silence=3]] a song that stands still")
            await stage.order(gateway.url, "[[song mute=0.5 seconds=8 speed=2]] a song that falls silent")

    async with again(both, 1.0):
        yield


# -- the provider ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def provider_away(stage: Stage) -> AsyncIterator[None]:
    upstream = Upstream(retry_attempts=0, circuit_failures=2, circuit_seconds=8.0, requests_per_minute=60000)
    gateway = await stage.gateway("provider_away", speed=0, upstream=upstream)
    async with again(lambda: stage.order(gateway.url, "[[unavailable]] a song that cannot be made"), 0.3):
        yield


@asynccontextmanager
async def waiting(stage: Stage) -> AsyncIterator[None]:
    gateway = await stage.gateway("waiting", speed=0, upstream=Upstream(max_concurrency=1))

    async def two() -> None:
        for _ in range(2):
            await stage.order(gateway.url, "[[scale seconds=1 hold=22]] a song that takes its time")
        await asyncio.sleep(22)

    async with again(two):
        yield


@asynccontextmanager
async def throttled(stage: Stage) -> AsyncIterator[None]:
    """Afterwards songs that need room, one after another, until it is learned that there is some again."""
    upstream = Upstream(max_concurrency=8, retry_attempts=0, circuit_failures=1000, requests_per_minute=60000)
    gateway = await stage.gateway("throttled", speed=0, upstream=upstream)
    await asyncio.sleep(8)  # it is to be seen before
    many = again(lambda: stage.order(gateway.url, "[[busy]] a song that is one too many"), 0.5)
    async with many, again(lambda: stage.order(gateway.url, "[[scale seconds=1 hold=1]] a song that waits"), 0.5):
        yield
    for _ in range(40):
        await gateway.create("[[scale seconds=1]] a song that finds room")


# -- money and stores --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def dear(stage: Stage) -> AsyncIterator[None]:
    quota = Quota(store="memory:", prices={"fun-music-v1": Price(per_second=1.0)})
    gateway = await stage.gateway("dear", speed=0, quota=quota)
    async with again(lambda: stage.order(gateway.url, "[[scale seconds=10]] a song of ten"), 0.5):
        yield


@asynccontextmanager
async def redis_away(stage: Stage) -> AsyncIterator[None]:
    redis = await stage.stack.enter_async_context(redis_server(stage.need("redis-server")))
    served = await stage.serve("redis_away", cluster={"redis_url": redis.url}, quota={"store": redis.url})
    await redis.kill()
    async with again(lambda: stage.order(served.public, "a song that nobody can book"), 0.3):
        yield
    await redis.start()


# -- formats -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def many_formats(stage: Stage) -> AsyncIterator[None]:
    """Its two threads have room for one format each."""
    gateway = await stage.gateway("many_formats", transcode=Transcode(workers=0, max_encodings=1))

    async def listen(form: str) -> None:
        stream_id = (await gateway.create("[[scale seconds=20 speed=1]] a song in another format"))["id"]
        async with talk(gateway) as line:
            await say(line, type="stream.attach", stream_id=stream_id, format=form)
            with suppress(WebSocketException):
                await hear(line)

    async with again(lambda: listen("ogg")), again(lambda: listen("flac")):
        yield
