"""Tests of the stream: what it takes from its source, what it hands on, and what it says of itself.

Invariant under test: the source is read by the stream alone, a listener's leaving ends nothing, and every event has its
place. How streams end, well and badly, is tested in test_stream_endings.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gateway.accounting import Traffic
from gateway.model import Accepted, AudioDelta, Finished, Queued, SongRequest, SourceEvent, Status, TriedAgain
from gateway.relay.account import Account
from gateway.relay.order import Order
from gateway.relay.stream import Stream
from metrics.recorder import Recorder
from tests.support.relay import (
    BUYER,
    DETAILS,
    FRAME_SECONDS,
    RENDITION,
    Clock,
    Pipe,
    ScriptedLedger,
    ScriptedSource,
    account,
    grow,
    instruments,
    listen,
    mp3_frames,
    song,
    until,
    within,
    workshop,
)

SONG = b"".join(mp3_frames(20))
ALL = (Accepted("req-1", simulated=True), AudioDelta(SONG[:5000]), AudioDelta(SONG[5000:]), Finished(0.5))


def new_stream(
    request: SongRequest | None = None,
    recorder: Recorder | None = None,
    clock: Clock | None = None,
    ledger: ScriptedLedger | None = None,
) -> Stream:
    return Stream(RENDITION, Order(BUYER, request or song()), account(ledger), instruments(recorder, clock), workshop())


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """What owns the streams of a test."""
    async with asyncio.TaskGroup() as group:
        yield group


def news(pipe: Pipe) -> list[dict[str, object]]:
    """The metadata that a listener was told, without the two or four octets of the WebSocket frame's head."""
    texts = [said[1] for said in pipe.said if said[0] == "news"]
    return [json.loads(text[text.index(b"{") :]) for text in texts if isinstance(text, bytes)]


async def test_a_song_reaches_its_listeners(tasks: asyncio.TaskGroup) -> None:
    """From the source's slices to the listener's bytes nothing changes, and the song ends as complete."""
    source, ledger, pipe = ScriptedSource(*ALL), ScriptedLedger(), Pipe()
    stream = new_stream(ledger=ledger)
    listen(stream.native, pipe)
    stream.start(tasks, source)
    await within(stream.wait())
    assert pipe.heard == SONG
    assert pipe.said[-1] == ("ended", None)
    assert source.songs == [stream.request]
    assert source.let_go == 1
    assert ledger.settled == [(stream.id, 0.5)]


async def test_what_a_stream_says_of_itself(tasks: asyncio.TaskGroup) -> None:
    """Before, during and after, its properties tell what is known so far, and null for what is not."""
    clock, gate = Clock(50.0), asyncio.Event()
    source = ScriptedSource(Accepted("req-1", simulated=True), AudioDelta(SONG), gate, Finished(0.75, lyrics="La la"))
    stream = new_stream(clock=clock)
    assert (stream.status, stream.sample_rate, stream.channels, stream.request_id) == (Status.QUEUED, None, None, None)
    assert (stream.created_at, stream.finished_at, stream.audio_seconds, stream.lyrics) == (50.0, None, 0.0, None)
    stream.start(tasks, source)
    await until(lambda: stream.native.end > 0)
    assert (stream.status, stream.sample_rate, stream.channels) == (Status.RUNNING, 44100, 2)
    assert (stream.request_id, stream.simulated, stream.bill.settled) == ("req-1", True, False)
    assert stream.audio_seconds == stream.received_seconds == pytest.approx(20 * FRAME_SECONDS)
    clock.at = 60.0
    gate.set()
    await within(stream.wait())
    assert (stream.status, stream.finished_at, stream.bill.settled, stream.error) == (
        Status.COMPLETED,
        60.0,
        True,
        None,
    )
    assert (stream.audio_seconds, stream.bill.seconds, stream.lyrics) == (0.75, 0.75, "La la")
    assert stream.retained_bytes == len(SONG)


async def test_a_listener_that_leaves_ends_nothing(tasks: asyncio.TaskGroup) -> None:
    """The generation goes on without anybody to hear it, and who comes later hears all of it."""
    gate = asyncio.Event()
    stream = new_stream()
    stream.start(tasks, ScriptedSource(AudioDelta(SONG[:5000]), gate, AudioDelta(SONG[5000:]), Finished(0.5)))
    await until(lambda: stream.native.end > 0)
    listener = listen(stream.native, Pipe())
    assert stream.listeners == 1
    listener.leave()
    assert stream.listeners == 0
    gate.set()
    await within(stream.wait())
    late = Pipe()
    listen(stream.native, late)
    assert (stream.status, late.heard) == (Status.COMPLETED, SONG)


async def test_a_song_without_a_bill_is_charged_as_received(tasks: asyncio.TaskGroup) -> None:
    """Where the provider does not say what it charges, what was delivered counts."""
    ledger = ScriptedLedger()
    for last in ((), (Finished(None),)):
        stream = new_stream(ledger=ledger)
        stream.start(tasks, ScriptedSource(AudioDelta(SONG), *last))
        await within(stream.wait())
    assert [seconds for _, seconds in ledger.settled] == [pytest.approx(20 * FRAME_SECONDS)] * 2


async def test_what_is_measured(tasks: asyncio.TaskGroup) -> None:
    """Bytes, the wait for the first audio, the outcome and the seconds of the bill reach the metrics."""
    recorder, clock, gate = Recorder(), Clock(), asyncio.Event()
    source = ScriptedSource(Accepted("req-1"), gate, AudioDelta(SONG[:5000]), AudioDelta(SONG[5000:]), Finished(0.5))
    stream = new_stream(recorder=recorder, clock=clock)
    stream.start(tasks, source)
    await until(lambda: stream.request_id is not None)
    value = recorder.registry.get_sample_value
    assert value("wavegate_streams_active") == 1.0
    clock.at += 3.0
    gate.set()
    await within(stream.wait())
    model = {"model": "fun-music-v1"}
    assert value("wavegate_streams_active") == 0.0
    assert value("wavegate_upstream_bytes_total") == len(SONG)
    assert value("wavegate_upstream_first_audio_seconds_sum", model) == 3.0
    assert value("wavegate_upstream_first_audio_seconds_count", model) == 1.0
    assert value("wavegate_streams_total", model | {"outcome": "completed"}) == 1.0


async def test_waiting_for_a_stream_that_was_never_started() -> None:
    """There is nothing to wait for, and nothing to cancel."""
    stream = new_stream()
    stream.cancel()
    await within(stream.wait())
    assert stream.status is Status.QUEUED


@pytest.mark.parametrize(
    ("lyrics", "prompt", "title"),
    [
        ("[verse]\n  \n  First words  \nmore", "A prompt", "First words"),
        (None, "A prompt", "A prompt"),
        (None, None, "fun-music-v1"),
        ("[verse]\n[chorus]", "A prompt", "fun-music-v1"),
        ("x" * 80, None, "x" * 80),
        ("x" * 81, None, "x" * 79 + "…"),
    ],
)
def test_the_title(lyrics: str | None, prompt: str | None, title: str) -> None:
    """It is the first line of the words that is no section mark, else the model, in no more than 80 characters."""
    assert new_stream(song(lyrics=lyrics, prompt=prompt)).title == title


async def test_news_are_told_when_there_are_any(tasks: asyncio.TaskGroup) -> None:
    """Listeners, words and status are announced when one of them has changed, and not again."""
    gate, end = asyncio.Event(), asyncio.Event()
    stream, pipe = new_stream(), Pipe()
    listen(stream.native, pipe)
    stream.announce()
    stream.announce()
    assert news(pipe) == [
        {"type": "stream.metadata", "stream_id": "st_1", "pts": 0.0, "listeners": 1, "title": "A quiet song"}
    ]
    source = ScriptedSource(AudioDelta(SONG), gate, Finished(0.5, lyrics="La la"), end)
    stream.start(tasks, source)
    await until(lambda: stream.native.end > 0)
    stream.announce()
    gate.set()
    await until(lambda: stream.lyrics is not None)
    # The provider's last word is told at once: by the next look nobody may be there.
    assert [one.get("lyrics") for one in news(pipe)] == [None, None, "La la"]
    assert [one["title"] for one in news(pipe)] == ["A quiet song", "A quiet song", "La la"]
    assert {stream.titles.at(second) for second in (0.0, 0.5)} == {"La la"}, "also for those who come later"
    stream.titles.begin(0.4, "Coda")
    stream.announce()
    assert news(pipe)[-1]["title"] == stream.title == "Coda"
    assert news(pipe)[-1]["pts"] == pytest.approx(20 * FRAME_SECONDS)
    end.set()
    await within(stream.wait())


async def test_silence_is_news(tasks: asyncio.TaskGroup) -> None:
    """Told when it begins and when it is over, and to whoever comes to a song of which it was noticed."""
    clock, gate, end = Clock(), asyncio.Event(), asyncio.Event()
    tools = instruments(None, clock)
    stream = Stream(RENDITION, Order(BUYER, song()), account(), tools, workshop(), silence_seconds=10.0)
    pipe = Pipe()
    listen(stream.native, pipe)
    stream.start(tasks, ScriptedSource(AudioDelta(mp3_frames(1)[0] * 20), gate, AudioDelta(SONG), end))
    await until(lambda: stream.native.end > 0)
    stream.tick()
    clock.at += 11.0
    stream.tick()
    gate.set()
    await until(lambda: stream.native.end > 3)
    stream.tick()
    told = [one["silent"] for one in news(pipe) if "silent" in one]
    assert told == ["still", None]
    end.set()
    await within(stream.wait())


def test_a_large_crowd_is_told_of_its_size_less_often() -> None:
    """Its number is news for everybody in it: a thousand a second are told at most. All else is told at once."""
    clock = Clock()
    stream, pipe = new_stream(clock=clock), Pipe()
    listen(stream.native, pipe)
    others = [listen(stream.native, Pipe()) for _ in range(1999)]
    stream.announce()
    others[0].leave()
    clock.at += 1.0
    stream.announce()
    assert [one["listeners"] for one in news(pipe)] == [2000]
    stream.lyrics = "La la"
    stream.announce()
    assert [one["listeners"] for one in news(pipe)] == [2000, 1999]
    others[1].leave()
    clock.at += 2.0
    stream.announce()
    assert [one["listeners"] for one in news(pipe)] == [2000, 1999, 1998]


async def test_audio_behind_the_last_word_is_taken_all_the_same(tasks: asyncio.TaskGroup) -> None:
    """The order of events is the provider's; what it sends is heard, and the last bill it gave counts."""
    steps: tuple[SourceEvent, ...] = (Finished(0.4), AudioDelta(SONG), Accepted("late"))
    stream, pipe = new_stream(), Pipe()
    listen(stream.native, pipe)
    stream.start(tasks, ScriptedSource(*steps))
    await within(stream.wait())
    assert (pipe.heard, stream.bill.seconds, stream.request_id) == (SONG, 0.4, "late")


async def test_a_stream_that_waits_tells_its_place(tasks: asyncio.TaskGroup) -> None:
    """Listeners are told the position and the estimate, the status says queued, and running once it has begun."""
    hold = asyncio.Event()
    source = ScriptedSource(Queued(3, 1.5), TriedAgain(2), Queued(2, None), hold, *ALL)
    stream, pipe = new_stream(), Pipe()
    listen(stream.native, pipe)
    stream.start(tasks, source)
    await until(lambda: len(news(pipe)) == 2)
    assert news(pipe) == [
        {"type": "stream.queued", "stream_id": stream.id, "position": 3, "eta_ms": 1500},
        {"type": "stream.queued", "stream_id": stream.id, "position": 2, "eta_ms": None},
    ]
    assert (stream.status, stream.place, stream.tries) == (Status.QUEUED, Queued(2, None), 2)
    hold.set()
    await within(stream.wait())
    assert (stream.status, stream.place) == (Status.COMPLETED, None)


async def test_a_budget_that_ends_ends_the_song_softly(tasks: asyncio.TaskGroup) -> None:
    """At a frame, behind what was granted, with the reason; what was received is charged."""
    ledger = ScriptedLedger()
    stream, pipe = new_stream(ledger=ledger), Pipe()
    stream.account.granted = 10 * FRAME_SECONDS
    listen(stream.native, pipe)
    halves = [AudioDelta(b"".join(mp3_frames(10, first))) for first in (0, 10, 20)]
    stream.start(tasks, ScriptedSource(*halves, Finished(1.0)))
    await within(stream.wait())
    assert pipe.said[-1] == ("ended", "quota_exceeded")
    assert stream.status is Status.CANCELLED
    assert pipe.heard == halves[0].data + (halves[1].data if len(pipe.heard) > len(halves[0].data) else b"")
    assert ledger.settled == [(stream.id, pytest.approx(len(pipe.heard) / 417 * FRAME_SECONDS))]
    assert pipe.outcome is not None
    assert pipe.outcome.soft


async def test_a_budget_that_ends_may_fade_out(tasks: asyncio.TaskGroup) -> None:
    """Over its last seconds, as soon as it is known that there will be no more: as many frames, the last ones quiet."""
    ledger = ScriptedLedger(budget=0.0)
    stream, pipe = new_stream(ledger=ledger), Pipe()
    stream.account = Account(ledger, stream.id, 30 * FRAME_SECONDS, 10 * FRAME_SECONDS)
    listen(stream.native, pipe)
    frames = mp3_frames(40)
    slices = [AudioDelta(b"".join(frames[at : at + 5])) for at in range(0, 40, 5)]
    stream.start(tasks, ScriptedSource(*slices, Finished(1.0)))
    await within(stream.wait())
    assert pipe.said[-1] == ("ended", "quota_exceeded")
    size = len(frames[0])
    assert len(pipe.heard) in (30 * size, 35 * size)
    assert pipe.heard[: 20 * size] == b"".join(frames[:20])
    assert pipe.heard[21 * size : 30 * size] != b"".join(frames[21:30])
    assert ledger.settled == [(stream.id, pytest.approx(len(pipe.heard) / size * FRAME_SECONDS))]


def test_what_listeners_took_is_told_once() -> None:
    """Their time, and the bytes in all formats, since the last call; nothing when there was nobody."""
    clock = Clock()
    stream = new_stream(clock=clock)
    clock.at += 5.0
    assert stream.traffic() is None
    stream.native.open(DETAILS, b"", 0.0)
    listeners = [listen(stream.native, Pipe()) for _ in range(3)]
    grow(stream.native, 2)
    clock.at += 2.0
    assert stream.traffic() == Traffic(stream.id, 6.0, 600)
    for listener in listeners:
        listener.leave()
    clock.at += 2.0
    assert stream.traffic() is None
