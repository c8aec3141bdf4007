"""A gateway of a few lines that speaks `wavegate.v1` on a real socket and does exactly what a test scripts.

Invariant: one script a connection, in order; a connection without a script is a failure of the test, and so is a script
that raised. What it says is built from the contract's structs and the library's server, never from the client.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.client.song import Song
from gateway.model import Chunk, Flag, Kind, RenditionId, StreamId
from gateway.protocol import events
from gateway.protocol.frames import pack

PATIENCE = 5.0
PAYLOADS = [bytes([65 + seq]) * 400 for seq in range(10)]
FORMAT = events.FormatInfo("mp3", "audio/mpeg", 48000, 2, 256000)
DURATION = 4800
STREAM = "stream-1"


class Talk:
    """One connection, seen from the gateway's side."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.epoch = 7
        self.rendition = 3

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return msgspec.json.decode(await self.socket.recv())

    async def say(self, message: Any) -> None:
        await self.socket.send(events.encode(message), text=True)

    async def hello(self) -> dict[str, Any]:
        """Greets, and hears the first wish."""
        await self.say(events.SessionCreated("session", "acme", {}, 0.0))
        return await self.hear()

    async def begin(self, *seqs: int) -> None:
        """Greets, answers an order, and sends the first frames."""
        await self.hello()
        await self.created()
        await self.started()
        await self.frames(*seqs)

    async def created(self, **changes: Any) -> None:
        await self.say(events.StreamCreated(info(**changes), ref="create"))

    async def started(self, seq: int = 0, form: events.FormatInfo = FORMAT) -> None:
        await self.say(events.StreamStarted(STREAM, self.rendition, self.epoch, seq, form))

    async def frames(self, *seqs: int, flags: Flag = Flag.RANDOM_ACCESS) -> None:
        for seq in seqs:
            await self.socket.send(self.packed(seq, flags))

    def packed(self, seq: int, flags: Flag = Flag.RANDOM_ACCESS) -> bytes:
        rendition = RenditionId(StreamId(STREAM), self.rendition, self.epoch)
        return pack(Chunk(rendition, seq, seq * DURATION, DURATION, PAYLOADS[seq], flags=flags))

    async def init(self, payload: bytes) -> None:
        rendition = RenditionId(StreamId(STREAM), self.rendition, self.epoch)
        await self.socket.send(pack(Chunk(rendition, 0, 0, 0, payload, Kind.INIT, Flag.NONE)))

    async def completed(self, payloads: list[bytes] | None = None, *, sha256: str | None = None) -> None:
        whole = b"".join(PAYLOADS if payloads is None else payloads)
        digest = sha256 or hashlib.sha256(whole).hexdigest()
        await self.say(
            events.StreamCompleted(STREAM, 1.0, len(PAYLOADS), len(whole), digest, events.Usage(1.0, settled=True))
        )

    async def refuse(self, code: str, *, retryable: bool = False, after_ms: int | None = None) -> None:
        await self.say(events.Error(events.ErrorBody(code, f"This is {code}.", retryable, after_ms)))

    async def fail(self, code: str) -> None:
        await self.say(events.StreamFailed(STREAM, events.ErrorBody(code, f"This is {code}.", retryable=False)))

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    def cut(self) -> None:
        """The network goes, without a word."""
        self.socket.transport.abort()


Script = Callable[[Talk], Awaitable[None]]


class StandIn:
    """`script` is a decorator: what the next connection will find. `requests` are the handshakes seen."""

    def __init__(self) -> None:
        self.payloads = PAYLOADS
        self.requests: list[Request] = []
        self.slept: list[float] = []
        self.failures: list[BaseException] = []
        self._scripts: list[Script | Response] = []
        self._server: Server | None = None

    def script(self, script: Script) -> Script:
        self._scripts.append(script)
        return script

    def refusal(self, status: int, body: bytes, **headers: str) -> None:
        """The next handshake is answered with this."""
        fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
        fields["Content-Length"] = str(len(body))
        self._scripts.append(Response(status, HTTPStatus(status).phrase, fields, body))

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def client(self, **options: Any) -> Client:
        """A client that does not really wait between attempts, and never draws a jitter but the largest."""

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return Client(self.url, **{"key": "secret", "sleep": sleep, "jitter": lambda: 1.0} | options)

    async def order(self, **options: Any) -> Song:
        """A song that such a client has ordered."""
        return await self.client(**options).create(prompt="rain")

    async def hear(self, song: Song) -> list[bytes]:
        """Every payload until the end."""
        async with asyncio.timeout(PATIENCE):
            return [frame.payload async for frame in song]

    async def failure(self, song: Song) -> ClientError:
        """The error that the song ends with."""
        with pytest.raises(ClientError) as caught:
            await self.hear(song)
        return caught.value

    async def __aenter__(self) -> "StandIn":
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._handshake,
            select_subprotocol=lambda _, offered: "wavegate.v1" if "wavegate.v1" in offered else None,
            compression=None,
            close_timeout=0.5,
            write_limit=1024,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        async with asyncio.timeout(PATIENCE):
            await self._server.wait_closed()

    def _handshake(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self._scripts and isinstance(self._scripts[0], Response):
            answer = self._scripts.pop(0)
            assert isinstance(answer, Response)
            return answer
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        try:
            script = self._scripts.pop(0)
            assert not isinstance(script, Response)
            async with asyncio.timeout(PATIENCE):
                await script(Talk(socket))
                await socket.wait_closed()
        except BaseException as failure:
            self.failures.append(failure)
            raise


def info(**changes: Any) -> events.StreamInfo:
    """A stream as the gateway describes it."""
    fields: dict[str, Any] = {
        "id": STREAM,
        "status": "queued",
        "model": "fun-music-v1",
        "mode": "stream",
        "created_at": 0.0,
        "duration_seconds": 0.0,
        "sample_rate": None,
        "channels": None,
        "lyrics": None,
        "title": "Rain",
        "listeners": 0,
        "usage": events.Usage(0.0, settled=False),
        "urls": events.Urls("http://x/audio.mp3", None, "ws://x/v1/ws"),
        "error": None,
        "warnings": [],
        "simulated": False,
    }
    return events.StreamInfo(**fields | changes)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """The gateway of a few lines; a script that failed fails the test."""
    async with StandIn() as gateway:
        yield gateway
    assert gateway.failures == []
