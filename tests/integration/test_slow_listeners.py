"""Listeners that do not keep up, on real sockets: what they hold of ours, what they miss, and how they are told.

Invariant under test: a listener that reads nothing costs a bounded number of bytes and nobody else anything; whatever
it does not get it is told of; one that reads again has everything, or the live edge, or the reason why not.
"""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.config.schema import Relay
from gateway.protocol.frames import unpack
from tests.support.gateway import KEY, PATIENCE, Bench, Heard, bench, hear, receive, say, talk
from tests.support.server import dial

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

# A minute of it is 11 MB: far more than all buffers between here and there hold.
LONG = "[[scale seconds=60 speed=0]] far more than sockets hold"
MOST_BYTES = 64 * 1024
POLL = 0.05  # s between two questions; to ask without a pause costs more than the song


@asynccontextmanager
async def idle(gateway: Bench) -> AsyncIterator[ClientConnection]:
    """A client with small buffers of its own, which reads only when it is asked to."""
    address = urlsplit(gateway.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    async with talk(gateway, sock=sock, max_queue=1) as line:
        yield line


def held(gateway: Bench) -> list[int]:
    """What each connection's client has not taken, of what was written in user space."""
    return [connection.sink.get_write_buffer_size() for connection in gateway.gateway.connections]


async def whole(gateway: Bench, stream_id: str) -> dict[str, Any]:
    """Waits until the song is whole."""
    async with asyncio.timeout(PATIENCE):
        while True:
            info = await gateway.info(stream_id)
            if info["status"] not in ("queued", "running"):
                return info
            await asyncio.sleep(POLL)


async def metric(gateway: Bench, line: str) -> None:
    """Waits until the metrics say so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with gateway.http.get(f"{gateway.internal}/metrics") as response:
                if line in await response.text():
                    return
            await asyncio.sleep(POLL)


async def test_who_reads_nothing_holds_little_and_has_everything_later() -> None:
    """In every framing, and over HTTP; meanwhile others hear the song to its end, and later so do they."""
    async with bench(speed=0) as gateway, AsyncExitStack() as stack:
        stream = await gateway.create(LONG, format="wav")
        framings = ("framed", "raw", "json")
        lazy = {framing: await stack.enter_async_context(idle(gateway)) for framing in framings}
        for framing, line in lazy.items():
            await say(line, type="stream.attach", stream_id=stream["id"], framing=framing)
        address = urlsplit(gateway.url)
        reader, writer = await stack.enter_async_context(dial(address.port or 0, PATIENCE))
        path = urlsplit(stream["urls"]["audio"]).path
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        async with talk(gateway) as quick:
            await say(quick, type="stream.attach", stream_id=stream["id"])
            heard = await hear(quick)
        told = heard.named("stream.completed")
        assert hashlib.sha256(heard.audio).hexdigest() == told["sha256"]
        waiting = held(gateway)
        assert len([size for size in waiting if size]) >= len(framings), "they have stalled"
        assert max(waiting) <= MOST_BYTES
        late = await hear(lazy["framed"])
        assert (late.seqs, late.audio) == (heard.seqs, heard.audio)
        assert late.named("stream.completed")["sha256"] == told["sha256"]
        assert (await hear(lazy["raw"], framed=False)).bare == heard.audio
        deltas = 0
        async with asyncio.timeout(PATIENCE):
            while (message := await receive(lazy["json"]))["type"] != "stream.completed":
                deltas += message["type"] == "audio.delta"
        assert deltas == len(heard.frames) + 1, "and the header"
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        body = hashlib.sha256()
        while size := int(await reader.readline(), 16):
            body.update((await reader.readexactly(size + 2))[:-2])
        assert body.hexdigest() == told["sha256"]


async def test_who_is_cut_for_reading_nothing_hears_why() -> None:
    """When it begins to read again: the frames that were on their way, in order, and then 4102."""
    async with bench(speed=0, relay=Relay(stall_timeout=0.5)) as gateway, idle(gateway) as lazy:
        stream = await gateway.create(LONG, format="wav")
        await say(lazy, type="stream.attach", stream_id=stream["id"])
        await metric(gateway, 'wavegate_slow_listeners_total{action="cut"} 1.0')
        assert (await gateway.info(stream["id"]))["listeners"] == 0
        seqs: list[int] = []
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    data = await lazy.recv()
                    if isinstance(data, bytes):
                        seqs.append(unpack(data)[0].seq)
        assert (lazy.close_code, lazy.close_reason) == (4102, "too_slow")
        assert seqs[1:] == list(range(len(seqs) - 1)), "behind the header, which has no number"


async def test_who_wants_to_be_live_jumps_with_a_gap() -> None:
    """What it is not sent is told, to the chunk, and it goes on where a decoder may start."""
    relay = Relay(live_lag=2.0)
    async with bench(speed=0, relay=relay) as gateway, idle(gateway) as lazy:
        prompt = "[[scale seconds=90 speed=20]] a scale that overtakes a client"
        stream = await gateway.create(prompt, format="wav")
        await say(lazy, type="stream.attach", stream_id=stream["id"], on_lag="live")
        await whole(gateway, stream["id"])
        heard = await hear(lazy)
        gaps = [message for message in heard.messages if message["type"] == "stream.gap"]
        assert gaps, "it was far behind"
        assert {gap["reason"] for gap in gaps} == {"lag"}
        missing = [seq for gap in gaps for seq in range(gap["from_seq"], gap["to_seq"])]
        assert sorted(heard.seqs + missing) == list(range(heard.named("stream.completed")["frames"]))
        landings = {gap["to_seq"] for gap in gaps}
        assert all(header.flags & 1 for header, _ in heard.frames if header.seq in landings)


@pytest.mark.parametrize("form", ["pcm", "ogg", {"codec": "mp3", "bitrate": 64000}])
async def test_a_listener_goes_on_in_another_format(form: Any) -> None:
    """At the moment of the song at which it left the first one, whether the other was made already or not."""
    async with bench(speed=0) as gateway, talk(gateway) as line:
        stream = await gateway.create("[[scale seconds=20 speed=10]] a scale in two formats")
        await say(line, type="stream.attach", stream_id=stream["id"])
        first = Heard()
        async with asyncio.timeout(PATIENCE):
            while len(first.frames) < 20:
                data = await line.recv()
                if isinstance(data, bytes):
                    first.frames.append(unpack(data))
                elif "stream.started" in data:
                    told = json.loads(data)
        last, _ = first.frames[-1]
        moment = (last.pts + last.duration) / told["format"]["sample_rate"]
        since = {"epoch": told["epoch"], "seq": last.seq + 1}
        await say(line, type="stream.detach", stream_id=stream["id"])
        while (await receive(line))["type"] != "stream.detached":
            pass
        await say(line, type="stream.attach", stream_id=stream["id"], format=form, since=since)
        second = await hear(line)
        started = second.named("stream.started")
        assert started["recovered"] is True
        header, _ = second.frames[0]
        begins = header.pts / started["format"]["sample_rate"]
        assert begins <= moment + 1e-3
        assert moment < begins + header.duration / started["format"]["sample_rate"] + 1e-3, (
            "in the chunk that sounds then"
        )
        assert second.seqs == list(range(started["seq"], second.named("stream.completed")["frames"]))
