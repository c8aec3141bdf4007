"""The line of a playback: one each, with what it was sent, how it went, and whence it came.

Invariant: the listeners are real ones on a channel, and leave by the audiences' door.
They must not know sockets.
"""

import logging

import pytest

from gateway.config.schema import Limits
from gateway.log import Bound, Origin, binding
from gateway.relay.audiences import Audiences
from gateway.relay.instruments import Instruments
from gateway.relay.listener import Listener
from gateway.relay.outcome import Bill
from metrics.recorder import Recorder
from tests.support.relay import TENANT, Clock, Pipe, ScriptedLedger, grow, listen, open_channel


class Place:
    """A channel with five chunks, and whoever comes to it."""

    def __init__(self) -> None:
        self.clock = Clock(100.0)
        self.channel = open_channel()
        grow(self.channel, 5)
        instruments = Instruments(Recorder(), self.clock, self.clock)
        self.audiences = Audiences(ScriptedLedger(), lambda _: Limits(), instruments)

    def come(self, seq: int = 0, name: str = "http") -> Listener:
        pipe = Pipe()
        pipe.name = name
        with binding(Bound({"request_id": "rq_1"}, (), Origin("192.0.2.1", "a player"))):
            listener = listen(self.channel, pipe, seq)
            self.audiences.enter(TENANT, listener, None)
        return listener


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[tuple[str, dict[str, object]]]:
    return [(one.levelname, one.__dict__["fields"]) for one in caplog.records if one.getMessage() == event]


def test_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    """It tells all of it, once, however often it leaves."""
    caplog.set_level(logging.DEBUG, "wavegate")
    place = Place()
    listener = place.come(2)
    place.clock.at = 103.5
    for _ in range(2):
        place.audiences.leave(TENANT, listener)
    ((_, began),) = lines(caplog, "playback.began")
    assert (began["door"], began["format"]) == ("http", place.channel.format.name)
    ((level, fields),) = lines(caplog, "playback.ended")
    assert level == "INFO"
    assert fields == {
        "stream_id": place.channel.rendition.stream_id,
        "tenant": TENANT,
        "door": "http",
        "format": place.channel.format.name,
        "how": "left",
        "wall_seconds": 3.5,
        "heard_seconds": 0.3,
        "chunks": 3,
        "bytes": 300,
        "client": "192.0.2.1",
        "agent": "a player",
    }


def test_how_it_went(caplog: pytest.LogCaptureFixture) -> None:
    """Heard to its end, sent away, or of a session, whose own line has the sum."""
    caplog.set_level(logging.DEBUG, "wavegate")
    place = Place()
    whole, broken, socket = place.come(), place.come(), place.come(name="websocket")
    broken.fail()
    place.channel.close(None, Bill(0.5, settled=True))
    for listener in (whole, broken, socket):
        place.audiences.leave(TENANT, listener)
    told = [(level, fields["how"]) for level, fields in lines(caplog, "playback.ended")]
    assert told == [("INFO", "completed"), ("INFO", "internal"), ("DEBUG", "completed")]
