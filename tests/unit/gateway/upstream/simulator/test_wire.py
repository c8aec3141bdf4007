"""How answers are written.

Invariant tested: in whatever form, the events say the same; and each way to break off is told apart by the other side.
It must not know songs.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.protocol.sse import SseDecoder, SseEvent
from gateway.upstream.simulator.server import Simulator

Ask = Callable[..., Awaitable[Any]]

USUAL = "scale seconds=0.5 slice=4000"


def decoded(raw: bytes) -> list[SseEvent]:
    decoder = SseDecoder(1 << 26)
    return [*decoder.feed(raw), *decoder.flush()]


def numbered(raw: bytes) -> bytes:
    """The bytes without what differs from call to call."""
    return re.sub(rb'("id": ?"audio_|"request_id": ?")[0-9a-f-]{36}', rb"\1", re.sub(rb"\d{10}", b"", raw))


@pytest.mark.parametrize(("lines", "end"), [("crlf", b"\r\n"), ("cr", b"\r"), ("lf", b"\n")])
async def test_line_ends(ask: Ask, lines: str, end: bytes) -> None:
    """All line ends are of the kind wanted, and nothing else is different."""
    usual, other = await ask(USUAL), await ask(f"{USUAL} lines={lines}")
    assert numbered(other.raw).replace(end, b"\n") == numbered(usual.raw)
    assert other.raw.endswith(2 * end)
    assert set(re.findall(rb"[\r\n]+", other.raw)) == {end, 2 * end}


async def test_documents_over_several_lines(ask: Ask) -> None:
    """Each event has several data lines, and says the same."""
    usual, other = await ask(USUAL), await ask(f"{USUAL} multiline=1")
    assert all(event.count(b"\ndata:") > 5 for event in other.raw.split(b"\n\n")[:-1])
    assert other.raw.count(b"event:") == usual.raw.count(b"event:")
    assert [re.sub(rb"[ \n]", b"", event.data) for event in decoded(numbered(other.raw))] == [
        event.data for event in decoded(numbered(usual.raw))
    ]


@pytest.mark.parametrize("lines", ["lf", "crlf", "cr"])
@pytest.mark.parametrize("what", ["scale seconds=0.5", "throttle shape=event", "throttle shape=result", "empty"])
async def test_the_last_event_has_no_end(ask: Ask, what: str, lines: str) -> None:
    """The bytes end with the document, and only there."""
    answer = await ask(f"{what} no_last_blank=1 lines={lines}")
    assert answer.raw.endswith(b"}")
    assert answer.broken is None
    assert len(decoded(answer.raw)) == answer.raw.count(b"event:")


async def test_another_content_type(ask: Ask) -> None:
    """In either mode; the bytes are what they always are."""
    usual, other = await ask(USUAL), await ask(f"{USUAL} type=application/json")
    assert other.headers["Content-Type"].startswith("application/json")
    assert numbered(other.raw) == numbered(usual.raw)
    assert (await ask(f"{USUAL} type=text/html", stream=False)).headers["Content-Type"].startswith("text/html")


async def test_drips(call: Ask, ask: Ask) -> None:
    """The bytes come in HTTP chunks of so many at most, with a pause between those of an event."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    async with Simulator(speed=0, sleep=sleep) as sim:
        reader, _ = await call("empty drip=7 pause=0.25", at=sim)
        async with asyncio.timeout(5):
            raw = await reader.read()
    sizes = [int(size, 16) for size in re.findall(rb"\r\n([0-9a-f]+)\r\n", raw.partition(b"chunked")[2])]
    assert sizes.pop() == 0
    assert set(sizes[:-1]) == {7}
    assert sizes[-1] <= 7
    assert slept.count(0.25) == len(sizes) - 1
    assert numbered((await ask(f"{USUAL} drip=100 pause=0")).raw) == numbered((await ask(USUAL)).raw)


async def test_a_document_drips_too(ask: Ask) -> None:
    """It is the same document in the end."""
    answer = await ask(f"{USUAL} drip=10 pause=0", stream=False)
    assert answer.document["output"]["finish_reason"] == "stop"


@pytest.mark.parametrize(("how", "whole"), [("end", True), ("close", False), ("reset", False)])
async def test_the_ways_to_break_off(ask: Ask, how: str, whole: bool) -> None:
    """What was said before is there; the body looks whole, or it is too short."""
    answer = await ask(f"{USUAL} cut after=0.25 how={how}")
    assert len(answer.audio) == 6000
    assert answer.raw.endswith(b"\n\n")
    assert (answer.broken is None) is whole


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_reset_is_no_close(call: Ask, how: str) -> None:
    """The one is an end of the connection, without the end of the body; the other is an error of the connection."""
    reader, _ = await call(f"{USUAL} cut after=0.25 how={how}")
    raw = b""
    reset = False
    async with asyncio.timeout(5):
        try:
            while data := await reader.read(1000):
                raw += data
        except ConnectionResetError:
            reset = True
    assert reset is (how == "reset")
    assert raw.count(b"event:result") == 2
    assert not raw.endswith(b"0\r\n\r\n")


async def test_half_of_an_event(ask: Ask) -> None:
    """A torn event has its head and the first part of its document."""
    answer = await ask(f"{USUAL} cut torn=1 after=0.25 how=end")
    assert len(answer.audio) == 6000
    rest = answer.raw.rpartition(b"\n\n")[2]
    assert rest.startswith(b"id:3\nevent:result\n:HTTP_STATUS/200\ndata:{")
    assert b"}" not in rest


async def test_heartbeats(ask: Ask) -> None:
    """A silence may have comments in it, in the line ends of the stream, and none without the wish."""
    loud = await ask(f"{USUAL} stall after=0.25 silence=0.1 heartbeat=0.03 lines=crlf")
    assert loud.raw.count(b":heartbeat\r\n\r\n") == 3
    quiet = await ask(f"{USUAL} stall after=0.25 silence=0.01")
    assert b":heartbeat" not in quiet.raw
