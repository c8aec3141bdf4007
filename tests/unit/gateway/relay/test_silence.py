"""Tests of noticing that a song which should sound does not.

Invariant under test: each silence is counted once and told once, and is over at the latest with its stream.
It must not know how silence is found in the bytes.
"""

import logging

import pytest

from gateway.model import StreamId
from gateway.relay.silence import Silence
from metrics.recorder import Recorder
from tests.support.relay import Clock, instruments


class Noticed:
    """A silence with its clock, and what has been counted of it."""

    def __init__(self, after: float = 10.0) -> None:
        self.clock = Clock()
        self.recorder = Recorder()
        self.silence = Silence(StreamId("st_1"), "fun-music-v1", after, instruments(self.recorder, self.clock))

    def look(self, seconds: float, received: float, silent: float = 0.0) -> str | None:
        """So many seconds later."""
        self.clock.at += seconds
        self.silence.look(received, silent)
        return self.silence.kind

    def counted(self, kind: str) -> float:
        """How many there were."""
        get = self.recorder.registry.get_sample_value
        return get("wavegate_stream_stalls_total", {"model": "fun-music-v1", "kind": kind}) or 0.0


def test_a_song_that_stands_still_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    """From its last new sound on, until the next."""
    caplog.set_level(logging.INFO, "wavegate.stream")
    stream = Noticed()
    assert [stream.look(1.0, 3.0), stream.look(9.9, 3.0)] == [None, None]
    assert [stream.look(0.2, 3.0), stream.look(5.0, 3.0)] == ["still", "still"]
    assert stream.look(1.0, 3.5) is None
    assert stream.counted("still") == 1
    said = [record for record in caplog.records if record.name == "wavegate.stream"]
    assert [(record.levelname, getattr(record, "fields", {})["seconds"]) for record in said] == [
        ("WARNING", 10.1),
        ("INFO", 16.1),
    ]


def test_digital_silence_is_noticed_while_it_comes() -> None:
    """It is another kind, and one may follow the other."""
    stream = Noticed()
    assert [stream.look(1.0, 3.0, 2.0), stream.look(8.0, 11.0, 10.0)] == [None, "silence"]
    assert stream.look(10.0, 11.0, 10.0) == "still"
    assert (stream.counted("silence"), stream.counted("still")) == (1, 1)
    assert stream.look(1.0, 12.0, 0.0) is None


def test_its_end_is_the_end_of_the_silence() -> None:
    """What has ended is not silent now, and looking away twice changes nothing."""
    stream = Noticed()
    stream.look(1.0, 3.0)
    assert stream.look(11.0, 3.0) == "still"
    stream.silence.end()
    stream.silence.end()
    assert stream.silence.kind is None
    assert stream.silence.noticed
    assert stream.counted("still") == 1


def test_nothing_is_amiss_before_the_first_sound() -> None:
    """Songs may take minutes to begin; and where nobody wants to know, nothing ever is."""
    assert Noticed().look(300.0, 0.0) is None
    never = Noticed(after=0.0)
    assert [never.look(1.0, 1.0, 1.0), never.look(300.0, 1.0, 1.0)] == [None, None]
    assert not never.silence.noticed
