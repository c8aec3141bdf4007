"""Tests of the census: listeners are counted by the second, and their lag is what it is.

Invariant under test: at every second the histogram has as many observations as there are listeners that are pushed to,
however many of them are looked at; whoever is at the edge is not.
It must not know who takes the census.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from gateway.model import StreamId
from gateway.relay import census as counting
from gateway.relay.census import Census
from gateway.relay.channel import Channel
from gateway.relay.instruments import Instruments
from gateway.relay.listener import Listener, OnLag
from metrics.recorder import Recorder
from tests.support.relay import DETAILS, Clock, Pipe, drain, grow, listen, new_channel
from tests.support.verbs import value


@dataclass
class Kept:
    """A stream, as far as the census is concerned."""

    renditions: list[Channel] = field(default_factory=list)
    retained_bytes: int = 0
    silence: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(kind=None))


class Scene:
    """A channel, who listens to it, and the census of it all."""

    def __init__(self) -> None:
        self.recorder, self.clock = Recorder(), Clock()
        self.channel = new_channel(recorder=self.recorder)
        self.channel.open(DETAILS, b"", 1000.0)
        self.kept = Kept([self.channel], 700)
        streams = {StreamId("st_1"): self.kept, StreamId("st_2"): Kept(retained_bytes=50)}
        self.census = Census(streams, Instruments(self.recorder, self.clock))  # type: ignore[arg-type]  # played streams

    def take(self, seconds: float = 1.0) -> None:
        self.clock.at += seconds
        self.census.take()

    def lags(self, up_to: str = "+Inf") -> float | None:
        return value(self.recorder, "listener_lag_seconds_bucket", le=up_to)


class Named(Pipe):
    """A pipe with a name of its own."""

    def __init__(self, name: str, room: int | None = None) -> None:
        super().__init__(room)
        self.name = name


def test_what_is_kept_is_told() -> None:
    """Streams, and the bytes of them all."""
    scene = Scene()
    scene.take()
    assert value(scene.recorder, "retained_streams") == 2.0
    assert value(scene.recorder, "retained_bytes") == 750.0
    assert scene.lags() == 0.0, "nobody listens"


def test_songs_that_do_not_sound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By kind, as long as it lasts; of other nodes' songs nothing is known."""
    scene = Scene()
    scene.kept.silence.kind = "still"
    scene.take()
    assert value(scene.recorder, "streams_stalled", kind="still") == 0.0, "it is none of ours"
    monkeypatch.setattr(counting, "Stream", Kept)
    for kind, still, silent in (("still", 1.0, 0.0), ("silence", 0.0, 1.0), (None, 0.0, 0.0)):
        scene.kept.silence.kind = kind
        scene.take()
        assert value(scene.recorder, "streams_stalled", kind="still") == still
        assert value(scene.recorder, "streams_stalled", kind="silence") == silent


def test_listeners_at_the_edge_are_counted_and_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is one observation a second, of no lag."""
    scene = Scene()
    for _ in range(40):
        listen(scene.channel, Pipe())
    grow(scene.channel, 5)
    monkeypatch.setattr(Listener, "lag_seconds", property(lambda _: pytest.fail("it was looked at")))
    for _ in range(3):
        scene.take(2.0)
    assert scene.lags("0.0") == scene.lags() == 120.0
    assert value(scene.recorder, "listener_seconds_total", transport="pipe") == 240.0


def test_who_is_behind_is_behind_by_what_it_lacks() -> None:
    """From the moment its socket takes no more until it has all again."""
    scene = Scene()
    quick, slow = Pipe(), Pipe()
    listen(scene.channel, quick)
    one = listen(scene.channel, slow)
    grow(scene.channel, 1)
    slow.room = 0
    grow(scene.channel, 3)
    scene.take()
    assert (scene.lags("0.0"), scene.lags("0.25"), scene.lags("0.5"), scene.lags()) == (1.0, 1.0, 2.0, 2.0)
    assert value(scene.recorder, "listener_lag_seconds_sum") == pytest.approx(0.3), "three chunks are missing"
    drain(one, slow)
    scene.take()
    assert (scene.lags("0.0"), scene.lags()) == (3.0, 4.0)
    one.leave()
    scene.take()
    assert scene.lags() == 5.0


def test_who_left_while_behind_is_behind_no_more() -> None:
    """Nobody who is gone is counted."""
    scene = Scene()
    slow = Pipe(room=0)
    one = listen(scene.channel, slow)
    grow(scene.channel, 2)
    one.leave()
    scene.take()
    assert scene.lags() == 0.0
    assert not scene.channel.tally("pipe").behind


def test_who_waits_for_what_it_wants_lags_behind_nothing() -> None:
    """Before a song's first sound, and for a second of it that has not come yet."""
    scene = Scene()
    waiting = new_channel(recorder=scene.recorder)
    listen(waiting, Pipe())
    Listener(scene.channel, Pipe(), 0, OnLag.COMPLETE, 8.0, wanted=5.0).join()
    scene.kept.renditions.append(waiting)
    grow(scene.channel, 1)
    scene.take()
    assert scene.lags() == 0.0
    assert value(scene.recorder, "listener_seconds_total", transport="pipe") == 2.0
    grow(scene.channel, 60)
    scene.take()
    assert scene.lags("0.0") == 1.0, "it has come"


def test_players_that_fetch_and_other_nodes_have_no_lag() -> None:
    """The first listen all the same; the others are counted where they are."""
    scene = Scene()
    for name in ("hls", "cluster"):
        listen(scene.channel, Named(name, room=0))
    grow(scene.channel, 2)
    scene.take()
    assert scene.lags() == 0.0
    assert value(scene.recorder, "listener_seconds_total", transport="hls") == 1.0
    assert value(scene.recorder, "listener_seconds_total", transport="cluster") is None


@pytest.mark.parametrize("behind", [1, 9, 10, 11, 25, 30])
def test_of_very_many_some_are_looked_at(monkeypatch: pytest.MonkeyPatch, behind: int) -> None:
    """Each for as many as there are of its kind: there are as many observations as listeners all the same."""
    monkeypatch.setattr(counting, "MOST_LOOKED_AT", 10)
    scene = Scene()
    for _ in range(behind):
        listen(scene.channel, Pipe(room=0))
    listen(scene.channel, Pipe())
    grow(scene.channel, 10)
    looked = 0

    def lag(self: Listener) -> float:
        nonlocal looked
        looked += 1
        return 1.0

    monkeypatch.setattr(Listener, "lag_seconds", property(lag))
    scene.take()
    assert scene.lags() == behind + 1
    assert scene.lags("0.0") == 1.0
    assert value(scene.recorder, "listener_lag_seconds_sum") == behind
    assert looked <= 10
