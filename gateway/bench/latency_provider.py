"""A provider whose clock is the bench's: it speaks DashScope's wire, and tells when it wrote what.

Invariant: everything is made before the clock is read, and the write is the next thing that happens. A generation says
nothing by itself; whoever called for it is known by the prompt.
It must not know what is measured.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from gateway.bench.benches import BenchError
from gateway.protocol import fun_music
from gateway.protocol.dashscope import delta_payload, stop_payload
from gateway.protocol.family import Made
from gateway.protocol.sse import encode_event
from gateway.upstream.simulator.server import SIMULATED_HEADER

_HOST = "127.0.0.1"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{SIMULATED_HEADER}: true\r\nConnection: close\r\n\r\n"
_CALL_SECONDS = 20.0


class Generation:
    """One song that was called for. `sent` is when each of its events was written, in seconds of the clock."""

    def __init__(self, writer: asyncio.StreamWriter, body: bytes, number: int, clock: Callable[[], float]) -> None:
        self.request = fun_music.parse(body)
        self.sent: list[float] = []
        self._writer = writer
        self._id = f"bench-{number}"
        self._clock = clock
        writer.write(_HEAD.encode())

    def send(self, data: bytes) -> None:
        """An event with this sound."""
        event = self._event(delta_payload(request_id=self._id, expires_at=0, data=data))
        self.sent.append(self._clock())
        self._writer.write(event)

    def finish(self, seconds: float, sample_rate: int, channels: int) -> None:
        """The last event: the song was so long."""
        said = fun_music.last_word(self.request, Made(round(seconds), sample_rate, channels, ""))
        self._writer.write(self._event(stop_payload(request_id=self._id, expires_at=0, url="", said=said)))
        self.close()

    def close(self) -> None:
        """Hangs up."""
        self._writer.close()

    def _event(self, payload: bytes) -> bytes:
        return encode_event(len(self.sent) + 1, "result", 200, payload)


class Provider:
    """Takes calls from `async with` to its end, on a free port of the loopback."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.url = ""
        self._clock = clock
        self._calls: dict[str, asyncio.Future[Generation]] = {}
        self._open: list[Generation] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, _HOST, 0)
        self.url = f"http://{_HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "it was entered"
        self._server.close()
        for generation in self._open:
            generation.close()
        await self._server.wait_closed()

    async def called(self, prompt: str) -> Generation:
        """The song with this prompt, once the gateway has called for it. Raises BenchError when it does not."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._call(prompt)), _CALL_SECONDS)
        except TimeoutError:
            raise BenchError(f"the gateway has called for no song within {_CALL_SECONDS:g} s.") from None

    def _call(self, prompt: str) -> asyncio.Future[Generation]:
        return self._calls.setdefault(prompt, asyncio.get_running_loop().create_future())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
        except asyncio.IncompleteReadError:
            writer.close()
            return
        generation = Generation(writer, body, len(self._open), self._clock)
        self._open.append(generation)
        self._call(generation.request.input.prompt or "").set_result(generation)


def events(frames: Sequence[bytes], count: int) -> list[bytes]:
    """The sound of a song in pieces of so many codec frames each; what is left over is left out."""
    return [b"".join(frames[at : at + count]) for at in range(0, len(frames) - count + 1, count)]
