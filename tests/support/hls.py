"""The HLS door with songs that a test plays: a byte of the song is a sample, and encodes answer in the next turn.

Invariant: nothing sleeps; clocks stand until they are put forward; what is started here is stopped here.
It must not know how the door works inside.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway.model import Accepted, AudioDelta, Finished, SourceEvent, TenantId
from gateway.relay.order import Order
from gateway.relay.ports import EncodingSink
from gateway.relay.segments import FRAME
from gateway.relay.stream import Stream
from gateway.server.hls.door import HlsDoor
from gateway.server.reception import Reception
from gateway.server.services import Services
from gateway.server.tickets import Wanted
from tests.support.encoding import ScriptedEncoding, ScriptedEncodings
from tests.support.relay import BUYER, FRAME_HEADER, Clock, ScriptedSource, song, within
from tests.support.server import AUTHORIZED, served, services
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec

# At 44.1 kHz a segment is 45 AAC frames, too.
SEGMENT = 45 * FRAME


def mp3_song(segments: float) -> bytes:
    """So many segments of sound: whole MP3 frames of 417 bytes, each of which is a sample here."""
    count = round(segments * SEGMENT / 417) + 1
    return b"".join([FRAME_HEADER + b"%08d" % number + bytes(405) for number in range(count)])


def whole(segments: float) -> tuple[SourceEvent, ...]:
    """A song that is there at once."""
    return (Accepted("r"), AudioDelta(mp3_song(segments)), Finished(1.0))


class PromptEncoding(ScriptedEncoding):
    """Answers each step in the next turn of the loop, in whole AAC frames, of which the first is delay."""

    def __init__(self, spec: EncoderSpec, sink: EncodingSink, resume: Resume | None) -> None:
        super().__init__(spec, sink, resume)
        self._rest = b""
        self._at = -FRAME

    def step(self, data: bytes, *, discontinuity: bool = False, last: bool = False) -> None:
        super().step(data, discontinuity=discontinuity, last=last)
        asyncio.get_running_loop().call_soon(self._encode)

    def _encode(self) -> None:
        if self.closed:
            return
        data, torn, last = self.steps[self.answered]
        self.answered += 1
        self._rest += data
        packets = []
        while self._at < 0 or len(self._rest) >= FRAME or (last and self._rest):
            unit, self._rest = (self._rest[:FRAME], self._rest[FRAME:]) if self._at >= 0 else (b"delay", self._rest)
            padding = FRAME - len(unit) if self._at >= 0 else 0
            packets.append(Packet(unit, self._at, FRAME, padding, discontinuity=torn and not packets))
            self._at += FRAME
        self.sink.encoded(Encoded(tuple(packets), CodecConfig(self.spec, FRAME, b"\x12\x10")))


class PromptEncodings(ScriptedEncodings):
    """Where they are opened."""

    def open(self, spec: EncoderSpec, sink: EncodingSink, resume: Resume | None = None) -> ScriptedEncoding:
        super().open(spec, sink, resume)
        self.opened[-1] = PromptEncoding(spec, sink, resume)
        return self.opened[-1]


@dataclass
class HlsPlace:
    """The door on a port, what is behind it, a client with acme's key and one without any."""

    door: HlsDoor
    room: Services
    clock: Clock
    http: aiohttp.ClientSession
    nobody: aiohttp.ClientSession

    async def stream(self) -> Stream:
        return await self.room.hub.create(Order(BUYER, song()))

    async def listened(self) -> Stream:
        """A stream whose song is whole, in AAC, too, and that somebody plays."""
        stream = await self.stream()
        await self.get(stream)
        await within(stream.ended())
        return stream

    def url(self, stream: Stream, name: str = "index.m3u8") -> str:
        return f"/v1/streams/{stream.id}/hls/{name}"

    def ticket(self, **wanted: Any) -> str:
        return self.room.tenants.office.mint(TenantId("acme"), Wanted(**wanted)).token.reveal()

    async def get(
        self, stream: Stream, name: str = "index.m3u8", method: str = "GET", **options: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of one answer. With a ticket in its `params` a request has no key."""
        http = self.nobody if "ticket" in options.get("params", {}) else self.http
        async with http.request(method, self.url(stream, name), **options) as response:
            return response.status, response.headers, await response.read()


@asynccontextmanager
async def hls_place(*steps: SourceEvent | Exception | asyncio.Event, **options: Any) -> AsyncIterator[HlsPlace]:
    """Streams play `steps`; `options` are those of the services."""
    options = {"encodings": PromptEncodings(), **options}
    async with services(ScriptedSource(*steps), **options) as room:
        clock = Clock()
        door = HlsDoor(room.hub, room.tenants, Reception(room.hub, room.tenants), room.admission, clock)
        timeout = aiohttp.ClientTimeout(20)
        async with (
            served(*door.routes()) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=AUTHORIZED, timeout=timeout) as http,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=timeout) as nobody,
        ):
            yield HlsPlace(door, room, clock, http, nobody)
            door.playbacks.close()
