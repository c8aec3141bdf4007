"""The answer to an order of speech, on a wire that keeps what is written: its head, its body and each of its ends.

Invariant under test: nothing is said before the first sound or a failure, or before a time has passed; a body that
breaks off never looks whole. It must not know orders.
"""

import asyncio
import json

import pytest

from gateway.errors import LimitError, UpstreamError, WavegateError
from gateway.model import Principal
from gateway.protocol import frames, openai
from gateway.relay.channel import Channel
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Bill
from gateway.server.speech_answer import SpeechConnection, said_of, wire_form
from tests.support.relay import DETAILS, TENANT, Clock, grow, new_channel
from tests.support.server import Wire, dechunked, soon
from transcode.formats import MP3, OGG, PCM

BILL = Bill(1.5, settled=True, characters=12)
FAILURE = UpstreamError("upstream_failed", "It failed.", retry_after=1.2)
BUDGET = LimitError("quota_exceeded", "The budget has ended.")


class Place:
    """A connection, the wire it writes to, and the channel it listens to."""

    def __init__(self, *, events: bool = False, modern: bool = True) -> None:
        self.gone: list[str] = []
        self.connection = SpeechConnection(
            Clock(),
            self.gone.append,
            Principal(TENANT, "k"),
            events=events,
            modern=modern,
            headers=said_of(MP3, events=events),
            always={"X-Wavegate-Stream-Id": "st_1"},
        )
        self.wire = Wire()
        self.connection.connection_made(self.wire)
        self.channel: Channel = new_channel()
        self.listener = Listener(self.channel, self.connection, 0, OnLag.COMPLETE, 5.0)
        self.connection.listeners.append(self.listener)
        self.listener.join()

    def begin(self, count: int = 3) -> bytes:
        self.channel.open(DETAILS, b"", 1000.0)
        return b"".join(grow(self.channel, count))

    @property
    def head(self) -> list[str]:
        return bytes(self.wire.written).partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def body(self) -> bytes:
        return bytes(self.wire.written).partition(b"\r\n\r\n")[2]

    @property
    def over(self) -> bool:
        return self.wire.ended


def events_of(body: bytes) -> list[dict[str, object]]:
    lines = body.split(b"\n\n")
    assert lines.pop() == b""
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


async def test_nothing_is_said_before_the_first_sound() -> None:
    """Then the head and all there is; the whole ends in order."""
    place = Place()
    place.connection.wait()
    assert place.wire.written == b""
    audio = place.begin()
    assert place.head[0] == "HTTP/1.1 200 OK"
    assert "X-Wavegate-Stream-Id: st_1" in place.head
    assert "Content-Type: audio/mpeg" in place.head
    assert "Transfer-Encoding: chunked" in place.head
    assert dechunked(place.body) == (audio, False)
    audio += b"".join(grow(place.channel, 2))
    place.channel.close(None, BILL)
    assert dechunked(place.body) == (audio, True)
    assert place.over
    place.connection.connection_lost(None)


async def test_the_head_goes_out_when_its_time_is_over() -> None:
    """Without any sound: proxies wait on. A failure can then be told by breaking off only."""
    place = Place()
    place.connection.wait(0.0)
    await soon(lambda: bool(place.wire.written))
    assert (place.head[0], place.body) == ("HTTP/1.1 200 OK", b"")
    audio = place.begin()
    assert dechunked(place.body) == (audio, False)
    place.channel.close(FAILURE, BILL)
    assert dechunked(place.body) == (audio, False)
    assert place.over


async def test_a_failure_before_the_first_sound_is_a_refusal() -> None:
    """With its own status and headers, the error body, and the stream's id; the head does not come as well."""
    place = Place()
    place.connection.wait(0.0)
    place.channel.close(FAILURE, BILL)
    assert place.head[0] == "HTTP/1.1 502 Bad Gateway"
    assert {"Retry-After: 2", "X-Wavegate-Stream-Id: st_1", "Connection: close"} <= set(place.head)
    assert f"Content-Length: {len(place.body)}" in place.head
    assert json.loads(place.body)["error"] == FAILURE.body()
    written = bytes(place.wire.written)
    await asyncio.sleep(0)
    assert (bytes(place.wire.written), place.over) == (written, True)


@pytest.mark.parametrize("begun", [True, False])
async def test_a_listener_that_is_cut_off(begun: bool) -> None:
    """Before the head it hears why; in the middle of a body there is no place for it."""
    place = Place()
    if begun:
        place.begin()
    place.connection.refused(LimitError("too_slow", "Too slow."))
    assert place.head[0] == ("HTTP/1.1 200 OK" if begun else "HTTP/1.1 429 Too Many Requests")
    assert place.wire.aborted.is_set() is begun


@pytest.mark.parametrize("error", [FAILURE, BUDGET])
@pytest.mark.parametrize("modern", [True, False])
async def test_what_is_cut_short_never_looks_whole(error: WavegateError, modern: bool) -> None:
    """Neither by a failure nor by a budget: a body without its last chunk, and with HTTP/1.0 a reset."""
    place = Place(modern=modern)
    audio = place.begin()
    place.channel.close(error, BILL)
    assert (dechunked(place.body) if modern else (place.body, False)) == (audio, False)
    assert place.wire.aborted.is_set() is not modern
    assert place.over


@pytest.mark.parametrize("error", [None, FAILURE, BUDGET])
@pytest.mark.parametrize("modern", [True, False])
async def test_a_body_of_events_tells_its_end(error: WavegateError | None, modern: bool) -> None:
    """The usage, or what went wrong; then it ends in order, since all has been said."""
    place = Place(events=True, modern=modern)
    place.begin(2)
    place.channel.close(error, BILL)
    body, whole = dechunked(place.body) if modern else (place.body, True)
    *deltas, last = events_of(body)
    assert [event["type"] for event in deltas] == ["speech.audio.delta"] * 2
    if error is None:
        assert last == {
            "type": "speech.audio.done",
            "usage": {"audio_seconds": 1.5, "settled": True, "characters": 12},
        }
    else:
        assert last == {"type": "error", "error": error.body()}
    assert whole
    assert place.over
    assert "Content-Type: text/event-stream; charset=utf-8" in place.head


async def test_a_client_that_leaves_takes_its_timer_along() -> None:
    """Nothing is written to where nobody is."""
    place = Place()
    place.connection.wait(0.0)
    place.connection.connection_lost(None)
    assert place.gone == ["left"]
    await asyncio.sleep(0)
    place.channel.close(FAILURE, BILL)
    assert place.wire.written == b""


def test_bodies_are_called_what_openai_calls_them() -> None:
    """Ogg and the others by their own names; pcm tells what its bytes do not."""
    assert said_of(OGG, events=False)["Content-Type"] == "audio/ogg"
    assert said_of(PCM, events=False)["Content-Type"] == "audio/pcm;rate=24000;channels=1"
    assert said_of(PCM, events=True)["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    ("events", "modern", "form"),
    [
        (False, True, frames.chunked),
        (False, False, frames.plain),
        (True, True, openai.delta_chunked),
        (True, False, openai.delta),
    ],
)
def test_each_way_of_writing_is_one_form(events: bool, modern: bool, form: object) -> None:
    """The same function for everybody, so that a chunk is built once."""
    assert wire_form(events=events, modern=modern) is form
