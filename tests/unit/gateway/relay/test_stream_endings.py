"""Tests of every way in which a stream ends: failure, cancel, a bug, a ledger that does not answer.

Invariant under test: whatever happens, the source is let go, the bill is settled exactly once, and every channel is
closed with the same outcome; listeners are told. Who cancels, and why, is the hub's business.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.model import Accepted, AudioDelta, Billed, Finished, SourceEvent, Status
from gateway.relay.order import Order
from gateway.relay.rendition import NativeRendition
from gateway.relay.stream import Stream
from metrics.recorder import Recorder
from tests.support.relay import (
    BUYER,
    FRAME_SECONDS,
    RENDITION,
    BrokenPipe,
    Clock,
    Pipe,
    ScriptedLedger,
    ScriptedSource,
    account,
    instruments,
    listen,
    mp3_frames,
    song,
    until,
    wav,
    within,
    workshop,
)

SONG = b"".join(mp3_frames(20))


class Scene:
    """A stream with a source, a ledger and one listener."""

    def __init__(self, *steps: SourceEvent | Exception | asyncio.Event, form: str = "mp3") -> None:
        self.recorder = Recorder()
        tools = replace(instruments(self.recorder), time=Clock(77.0))
        self.ledger = ScriptedLedger()
        self.stream = Stream(RENDITION, Order(BUYER, song(form=form)), account(self.ledger), tools, workshop())
        self.source = ScriptedSource(*steps)
        self.pipe = Pipe()
        listen(self.stream.native, self.pipe)

    def start(self, tasks: asyncio.TaskGroup) -> "Scene":
        self.stream.start(tasks, self.source)
        return self

    async def play(self, tasks: asyncio.TaskGroup) -> "Scene":
        self.start(tasks)
        await within(self.stream.wait())
        return self

    async def abort(self, when: Callable[[], bool]) -> None:
        """Starts the stream in a group of its own, and tears that down at this moment."""
        async with asyncio.TaskGroup() as tasks:
            self.start(tasks)
            await until(when)
            raise RuntimeError("the owner stops")

    def outcomes(self, outcome: str) -> float | None:
        labels = {"model": "fun-music-v1", "outcome": outcome}
        return self.recorder.registry.get_sample_value("wavegate_streams_total", labels)

    def ended(self, status: Status, code: str, *, opened: int = 1, seconds: float = 0.0) -> None:
        """Checks all that must hold of a stream that did not complete."""
        stream = self.stream
        assert stream.error is not None
        assert (stream.status, stream.error.code, stream.finished_at) == (status, code, 77.0)
        assert (len(self.source.songs), self.source.let_go) == (opened, opened)
        assert [stream_id for stream_id, _ in self.ledger.settled] == [stream.id]
        assert self.ledger.settled[0][1] == pytest.approx(seconds)
        assert [said for said in self.pipe.said if said[0] == "ended"] == [("ended", code)]
        assert stream.native.outcome is not None
        assert stream.native.outcome.error is stream.error
        assert self.outcomes(status.value) == 1.0
        assert self.recorder.registry.get_sample_value("wavegate_streams_active") == 0.0


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """What owns the streams of a test."""
    async with asyncio.TaskGroup() as group:
        yield group


async def test_failing_before_the_first_sound(tasks: asyncio.TaskGroup) -> None:
    """The provider's failure is the stream's; nothing is charged, and the metrics know the code."""
    scene = await Scene(UpstreamError("upstream_busy", "It is full.")).play(tasks)
    scene.ended(Status.FAILED, "upstream_busy")
    assert scene.pipe.said == [("ended", "upstream_busy")]
    assert scene.recorder.registry.get_sample_value("wavegate_upstream_errors_total", {"code": "upstream_busy"}) == 1.0


async def test_failing_in_the_middle(tasks: asyncio.TaskGroup) -> None:
    """What was delivered is heard to its last whole frame, charged, and not called whole."""
    scene = await Scene(AudioDelta(SONG + b"\xff\xfb"), UpstreamError("upstream_interrupted", "It fell silent.")).play(
        tasks
    )
    scene.ended(Status.FAILED, "upstream_interrupted", seconds=20 * FRAME_SECONDS)
    assert scene.pipe.heard == SONG


async def test_a_last_chunk_that_cannot_be_made(
    tasks: asyncio.TaskGroup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours on top of the provider's failure is logged, and changes neither the bill nor what is told."""

    def broken(self: NativeRendition, *, complete: bool) -> None:
        raise RuntimeError("no last chunk")

    monkeypatch.setattr(NativeRendition, "finish", broken)
    scene = await Scene(AudioDelta(SONG), UpstreamError("upstream_interrupted", "It fell silent.")).play(tasks)
    scene.ended(Status.FAILED, "upstream_interrupted", seconds=20 * FRAME_SECONDS)
    assert any(record.exc_info for record in caplog.records)


async def test_a_song_without_sound(tasks: asyncio.TaskGroup) -> None:
    """A provider that finishes without a single frame has failed, and its bill is not passed on."""
    scene = await Scene(Accepted("req-1"), Finished(30.0)).play(tasks)
    scene.ended(Status.FAILED, "upstream_empty")


async def test_a_song_with_next_to_no_sound(tasks: asyncio.TaskGroup) -> None:
    """A few frames and a bill for minutes are no song: it has failed, and costs what was delivered."""
    frames = mp3_frames(3)
    scene = await Scene(Accepted("req-1"), AudioDelta(b"".join(frames)), Finished(180.0)).play(tasks)
    scene.ended(Status.FAILED, "upstream_empty", seconds=3 * FRAME_SECONDS)


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_another_format_than_was_asked_for(tasks: asyncio.TaskGroup, size: int) -> None:
    """A WAV where an MP3 was asked for is a failure of the provider, however it is sliced."""
    file = wav(2500)
    slices = [AudioDelta(file[at : at + size]) for at in range(0, len(file), size)]
    scene = await Scene(*slices, Finished(1.0)).play(tasks)
    scene.ended(Status.FAILED, "upstream_protocol")


async def test_a_bug_in_the_source(tasks: asyncio.TaskGroup, caplog: pytest.LogCaptureFixture) -> None:
    """An error that is none of ours ends this stream as `internal`, in the log with its traceback, and nothing else."""
    other = Scene(AudioDelta(SONG), Finished(0.5))
    with caplog.at_level(logging.ERROR):
        scene = await Scene(AudioDelta(SONG), KeyError("oops")).play(tasks)
    scene.ended(Status.FAILED, "internal", seconds=20 * FRAME_SECONDS)
    assert isinstance(scene.stream.error, ServiceError)
    assert "oops" not in scene.stream.error.message
    assert any(record.exc_info for record in caplog.records)
    await other.play(tasks)
    assert other.stream.status is Status.COMPLETED


async def test_a_transport_that_breaks_ends_nothing(tasks: asyncio.TaskGroup) -> None:
    """The generation and the other listeners go on when one transport raises."""
    scene = Scene(AudioDelta(SONG), Finished(0.5))
    listen(scene.stream.native, BrokenPipe())
    await scene.play(tasks)
    assert scene.stream.status is Status.COMPLETED
    assert scene.pipe.heard == SONG
    assert scene.pipe.said[-1] == ("ended", None)


async def test_cancelling_before_the_first_step(tasks: asyncio.TaskGroup) -> None:
    """A stream that is cancelled before it ran buys nothing, and gives its slot back."""
    scene = Scene(AudioDelta(SONG), Finished(0.5)).start(tasks)
    scene.stream.cancel()
    await within(scene.stream.wait())
    scene.ended(Status.CANCELLED, "cancelled", opened=0)


async def test_cancelling_while_it_runs(tasks: asyncio.TaskGroup) -> None:
    """The upstream is let go at once, what was delivered is heard and charged."""
    scene = Scene(AudioDelta(SONG), asyncio.Event()).start(tasks)
    await until(lambda: scene.stream.native.end > 0)
    scene.stream.cancel()
    await within(scene.stream.wait())
    scene.ended(Status.CANCELLED, "cancelled", seconds=20 * FRAME_SECONDS)
    assert scene.pipe.heard == SONG


async def test_cancelling_what_is_paid_already(tasks: asyncio.TaskGroup) -> None:
    """A file whose bill came before its sound is charged as a whole, however little of it was waited for."""
    scene = Scene(Billed(200.0), AudioDelta(SONG), asyncio.Event()).start(tasks)
    await until(lambda: scene.stream.native.end > 0)
    scene.stream.cancel()
    await within(scene.stream.wait())
    assert (scene.stream.status, scene.stream.bill.seconds) == (Status.CANCELLED, 200.0)
    assert scene.stream.received_seconds == pytest.approx(20 * FRAME_SECONDS)


async def test_the_first_cancel_counts(tasks: asyncio.TaskGroup) -> None:
    """Cancelling again, for another reason, changes neither the outcome nor the bill."""
    scene = Scene(AudioDelta(SONG), asyncio.Event()).start(tasks)
    await until(lambda: scene.stream.native.end > 0)
    scene.stream.cancel(ServiceError("going_away", "We stop."))
    scene.stream.cancel()
    await within(scene.stream.wait())
    scene.stream.cancel()
    scene.ended(Status.FAILED, "going_away", seconds=20 * FRAME_SECONDS)


async def test_cancelling_what_has_ended(tasks: asyncio.TaskGroup) -> None:
    """A complete song stays complete."""
    scene = await Scene(AudioDelta(SONG), Finished(0.5)).play(tasks)
    scene.stream.cancel()
    await within(scene.stream.wait())
    assert (scene.stream.status, scene.stream.error) == (Status.COMPLETED, None)
    assert len(scene.ledger.settled) == 1


async def test_cancelling_while_it_settles(tasks: asyncio.TaskGroup) -> None:
    """The song is whole by then: the bill is taken once, and listeners are told that it is complete."""
    scene = Scene(AudioDelta(SONG), Finished(0.5))
    scene.ledger.hold = asyncio.Event()
    scene.start(tasks)
    await until(lambda: bool(scene.ledger.settled))
    scene.stream.cancel()
    scene.ledger.hold.set()
    await within(scene.stream.wait())
    assert (scene.stream.status, scene.stream.bill.settled) == (Status.COMPLETED, True)
    assert scene.ledger.settled == [(scene.stream.id, 0.5)]
    assert scene.pipe.said[-1] == ("ended", None)


async def test_the_owner_stops_while_it_settles() -> None:
    """When what owns the tasks is torn down, listeners are told all the same."""
    scene = Scene(AudioDelta(SONG), Finished(0.5))
    scene.ledger.hold = asyncio.Event()
    with pytest.raises(ExceptionGroup):
        await scene.abort(lambda: bool(scene.ledger.settled))
    assert scene.pipe.said[-1] == ("ended", None)
    assert (scene.stream.status, scene.stream.bill.settled) == (Status.COMPLETED, False)


async def test_the_owner_stops_while_it_runs() -> None:
    """A stream whose task is ended from outside says that the gateway has stopped, and settles."""
    scene = Scene(AudioDelta(SONG), asyncio.Event())
    with pytest.raises(ExceptionGroup):
        await scene.abort(lambda: scene.stream.native.end > 0)
    scene.ended(Status.FAILED, "going_away", seconds=20 * FRAME_SECONDS)
    assert scene.stream.bill.settled


async def test_a_ledger_that_fails(tasks: asyncio.TaskGroup, caplog: pytest.LogCaptureFixture) -> None:
    """Listeners hear the end all the same, and that it is not settled; the log has the seconds."""
    scene = Scene(AudioDelta(SONG), Finished(0.5))
    scene.ledger.fault = OSError("the disk is full")
    with caplog.at_level(logging.ERROR):
        await scene.play(tasks)
    assert (scene.stream.status, scene.stream.bill.settled) == (Status.COMPLETED, False)
    assert scene.pipe.said[-1] == ("ended", None)
    assert scene.pipe.outcome is not None
    assert (scene.pipe.outcome.bill.settled, scene.pipe.outcome.bill.seconds) == (False, 0.5)
    (unsettled,) = [record for record in caplog.records if record.message == "ledger.unsettled"]
    assert unsettled.__dict__["fields"]["billed_seconds"] == 0.5


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_ledger_that_hangs(
    tasks: asyncio.TaskGroup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cancelled: bool
) -> None:
    """Listeners do not wait for it longer than the time it is given, also when the stream was cancelled."""
    monkeypatch.setattr("gateway.relay.account.PATIENCE_SECONDS", 0.01)
    scene = Scene(AudioDelta(SONG), *([asyncio.Event()] if cancelled else [Finished(0.5)]))
    scene.ledger.hold = asyncio.Event()
    scene.start(tasks)
    await until(lambda: scene.stream.native.end > 0)
    if cancelled:
        scene.stream.cancel()
    with caplog.at_level(logging.ERROR):
        await within(scene.stream.wait())
    assert scene.stream.bill.settled is False
    assert scene.pipe.said[-1] == ("ended", "cancelled" if cancelled else None)
    assert len(scene.ledger.settled) == 1


async def test_no_outcome_before_the_bill(tasks: asyncio.TaskGroup) -> None:
    """While the ledger is asked nobody is told an end; who joins then hears all of it and is told with the others."""
    scene = Scene(AudioDelta(SONG), Finished(0.5))
    scene.ledger.hold = asyncio.Event()
    scene.start(tasks)
    await until(lambda: bool(scene.ledger.settled))
    late = Pipe()
    listen(scene.stream.native, late)
    assert (late.heard, late.outcome, scene.pipe.outcome) == (SONG, None, None)
    scene.ledger.hold.set()
    await within(scene.stream.wait())
    assert late.outcome is not None
    assert late.outcome is scene.pipe.outcome
    assert late.outcome.bill.settled
