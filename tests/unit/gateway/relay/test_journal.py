"""The journal of a stream: its line and its trace, of whatever moments it had.

Invariant: what the provider says comes by hand, and time is a number that the test chooses.
They must not know how a stream works.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.log import Bound, Origin, binding, bound
from gateway.model import (
    Accepted,
    AudioDelta,
    Finished,
    Mode,
    Queued,
    SongInput,
    SongRequest,
    SpeechInput,
    SpeechRequest,
    Status,
    StreamId,
)
from gateway.model import TriedAgain as Again
from gateway.relay.instruments import Instruments
from gateway.relay.journal import MOST_JOINS_TOLD, Ending, Journal, words_of
from gateway.relay.outcome import Bill
from metrics.recorder import Recorder
from tests.support.relay import TENANT, Clock, song

FAILED = UpstreamError("upstream_failed", "It failed.", request_id="req-9")


class Telling:
    """A trace that remembers what it was told."""

    trace_id = "0" * 31 + "1"

    def __init__(self, name: str, at: float, parent: str | None) -> None:
        self.began = name, at, parent
        self.events: list[tuple[str, float, Mapping[str, Any]]] = []
        self.parts: dict[str, tuple[float, float, str | None]] = {}
        self.ended: tuple[float, Mapping[str, Any], str | None] | None = None

    def event(self, name: str, at: float, facts: Mapping[str, Any]) -> None:
        self.events.append((name, at, facts))

    def child(
        self, name: str, begin: float, end: float, facts: Any = None, event: Any = None, code: Any = None
    ) -> None:
        self.parts[name] = begin, end, code

    def end(self, at: float, facts: Mapping[str, Any], code: str | None) -> None:
        self.ended = at, facts, code


class Told:
    def __init__(self) -> None:
        self.spans: list[Telling] = []

    def begin(self, name: str, at: float, parent: str | None) -> Telling:
        self.spans.append(Telling(name, at, parent))
        return self.spans[-1]


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    with binding(Bound({"request_id": "rq_1", "session_id": "se_1"}, (), Origin(traceparent="00-a", at=99.0))):
        yield


def journal(clock: Clock, traces: Told | None = None) -> Journal:
    return Journal(StreamId("st_1"), TENANT, song(), Instruments(Recorder(), clock, clock, traces=traces))


def ending(status: Status = Status.COMPLETED, error: UpstreamError | None = None, *, settled: bool = True) -> Ending:
    return Ending(status, error, Bill(12.5, settled=settled), 0.25, 12.0, 5000, ["mp3", "ogg"])


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = [one for one in caplog.records if one.getMessage() == "stream.ended"]
    return {**record.__dict__["fields"], "level": record.levelname}


def test_a_wall_clock_that_is_set_changes_no_duration(caplog: pytest.LogCaptureFixture) -> None:
    """A day back amid the song: what took two seconds took two seconds."""
    caplog.set_level(logging.DEBUG, "wavegate")
    clock, wall = Clock(5.0), Clock(1_800_000_000.0)
    one = Journal(StreamId("st_1"), TENANT, song(), Instruments(Recorder(), clock, wall))
    one.open()
    clock.at, wall.at = 7.0, wall.at - 86_400.0
    one.saw(AudioDelta(b"12345"))
    one.ended(ending())
    assert (line(caplog)["wall_seconds"], line(caplog)["first_audio_seconds"]) == (2.0, 2.0)


def test_a_song_from_its_order_to_its_bill(caplog: pytest.LogCaptureFixture) -> None:
    """Every moment, every count, and the ids of whoever ordered."""
    caplog.set_level(logging.DEBUG, "wavegate")
    clock, traces = Clock(100.0), Told()
    one = journal(clock, traces)
    clock.at = 101.0
    one.open()
    assert dict(bound().ids) == {
        "request_id": "rq_1",
        "session_id": "se_1",
        "stream_id": "st_1",
        "tenant": TENANT,
        "trace_id": Telling.trace_id,
    }
    assert bound().words == ("A quiet song",)
    for number in range(MOST_JOINS_TOLD + 5):
        one.joined(min(number + 1, 3))
    one.heard_by(7)
    one.saw(Queued(2, 4.0))
    one.saw(Queued(1, 2.0))
    clock.at = 105.0
    one.saw(Again(2))
    one.saw(Queued(1, None))
    clock.at = 107.0
    one.saw(Accepted("req-1", waited_seconds=3.0))
    assert bound().ids["provider_request_id"] == "req-1"
    clock.at = 109.0
    one.saw(AudioDelta(b"12345"))
    clock.at = 115.0
    one.saw(AudioDelta(b"678"))
    one.saw(Finished(12.5))
    clock.at = 116.0
    one.ended(ending())
    assert line(caplog) == {
        "level": "INFO",
        "stream_id": "st_1",
        "tenant": TENANT,
        "model": song().model,
        "mode": "stream",
        "status": "completed",
        "code": None,
        "audio_seconds": 12.0,
        "settled_seconds": 12.5,
        "characters": None,
        "cost": 0.25,
        "queue_seconds": 3.0,
        "first_audio_seconds": 5.0,
        "wall_seconds": 16.0,
        "tries": 2,
        "listeners": 7,
        "joins": MOST_JOINS_TOLD + 5,
        "formats": ["mp3", "ogg"],
        "upstream_bytes": 8,
        "egress_bytes": 5000,
        "provider_request_id": "req-1",
    }
    (span,) = traces.spans
    assert span.began == ("stream", 100.0, "00-a")
    assert span.parts == {
        "create": (99.0, 100.0, None),
        "queue": (101.0, 104.0, None),
        "upstream": (104.0, 115.0, None),
        "first_audio": (104.0, 109.0, None),
        "settle": (115.0, 116.0, None),
    }
    assert len(span.events) == MOST_JOINS_TOLD
    assert span.events[0] == ("joined", 101.0, {"wavegate.listeners": 1, "session_id": "se_1", "request_id": "rq_1"})
    assert span.ended is not None
    assert span.ended[1]["wavegate.provider_request_id"] == "req-1"
    assert "wavegate.code" not in span.ended[1]


def test_one_that_is_called_and_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A warning; its bill may not be taken yet, and the provider's name for it comes with the error."""
    clock, traces = Clock(100.0), Told()
    one = journal(clock, traces)
    one.open()
    clock.at = 102.0
    one.ended(ending(Status.FAILED, FAILED, settled=False))
    told = line(caplog)
    assert (told["level"], told["status"], told["code"]) == ("WARNING", "failed", "upstream_failed")
    assert (told["settled_seconds"], told["queue_seconds"], told["first_audio_seconds"]) == (None, None, None)
    assert told["provider_request_id"] == "req-9"
    (span,) = traces.spans
    assert span.parts == {
        "create": (99.0, 100.0, None),
        "upstream": (100.0, 102.0, "upstream_failed"),
        "settle": (102.0, 102.0, None),
    }
    assert span.ended is not None
    assert span.ended[2] == "upstream_failed"


def test_one_whose_turn_never_comes(caplog: pytest.LogCaptureFixture) -> None:
    """It has waited until its end; nobody was called. Without traces nothing is told of one."""
    caplog.set_level(logging.INFO, "wavegate")
    for traces in (Told(), None):
        caplog.clear()
        clock = Clock(100.0)
        with binding(Bound()):
            one = journal(clock, traces)
            one.open()
        clock.at = 101.0
        one.saw(Queued(5, None))
        one.joined(1)
        clock.at = 104.0
        one.ended(ending(Status.CANCELLED))
        told = line(caplog)
        assert (told["level"], told["status"], told["queue_seconds"]) == ("INFO", "cancelled", 3.0)
        if traces is not None:
            assert set(traces.spans[0].parts) == {"queue", "settle"}


def test_words() -> None:
    """Whatever somebody wrote, in every family."""
    said = SpeechRequest("m", Mode.STREAM, SpeechInput("text", "v", instruction="one", instructions="more"))
    sung = SongRequest("m", Mode.STREAM, SongInput("prompt", "lyrics"))
    assert words_of(said) == ("text", "one", "more")
    assert words_of(sung) == ("prompt", "lyrics")
