"""Tests of how a channel goes round a crowd that is too large for one turn of the loop.

Invariant under test: whatever comes while a round is under way, everybody gets every chunk once and in order, and who
was passed already is not left behind. Turns of the loop are taken by hand.
"""

from dataclasses import replace

from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.fanout import SLICE, FanOut
from gateway.relay.outcome import Bill
from metrics.recorder import Recorder
from tests.support.relay import DETAILS, RENDITION, Clock, Pipe, grow, instruments, listen
from tests.unit.gateway.relay.test_fanout import Loop
from transcode.formats import MP3


class Scene:
    """A song with a crowd of `size`, whose loop is turned by hand."""

    def __init__(self, size: int) -> None:
        self.loop, self.recorder, self.clock = Loop(), Recorder(), Clock()
        tools = replace(instruments(self.recorder, self.clock), fan_out=FanOut(self.loop.call_soon))
        self.channel = Channel(RENDITION, MP3, tools, 1 << 20)
        self.channel.open(DETAILS, b"", 998.0)
        self.pipes = [Pipe() for _ in range(size)]
        self.listeners = [listen(self.channel, pipe) for pipe in self.pipes]

    def heard(self) -> list[int]:
        """How many chunks each has had."""
        return [len(pipe.chunks) for pipe in self.pipes]

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.turn()

    def value(self, name: str) -> float | None:
        return self.recorder.registry.get_sample_value(f"wavegate_{name}")


def test_a_large_crowd_is_served_a_slice_at_a_time() -> None:
    """Each listener is written to once, in the order in which they came."""
    scene = Scene(2 * SLICE + 10)
    grow(scene.channel, 1)
    assert scene.heard() == [1] * SLICE + [0] * (SLICE + 10)
    scene.turn()
    assert scene.heard() == [1] * 2 * SLICE + [0] * 10
    scene.turn()
    assert scene.heard() == [1] * (2 * SLICE + 10)


def test_a_chunk_that_comes_during_a_round_reaches_everybody() -> None:
    """Those ahead get both chunks in one go, those behind the second in a round of its own."""
    scene = Scene(SLICE + 10)
    grow(scene.channel, 1)
    payloads = [chunk.payload for chunk in scene.channel.retained] + grow(scene.channel, 2)
    assert scene.heard() == [1] * SLICE + [0] * 10
    scene.turn(4)
    assert scene.heard() == [3] * (SLICE + 10)
    assert scene.pipes[-1].batches == [300]
    assert all(pipe.heard == b"".join(payloads) for pipe in scene.pipes)
    assert scene.loop.soon == []


def test_who_joins_or_leaves_during_a_round_is_no_trouble() -> None:
    """One that comes has taken what there is already; one that goes is passed over."""
    scene = Scene(SLICE + 10)
    grow(scene.channel, 1)
    late = Pipe()
    listen(scene.channel, late)
    scene.listeners[-1].leave()
    scene.turn(3)
    assert len(late.chunks) == 1
    assert scene.heard() == [1] * (SLICE + 9) + [0]


def test_the_end_reaches_everybody_behind_all_audio() -> None:
    """Also those whose round was under way, and each is told once."""
    scene = Scene(SLICE + 10)
    grow(scene.channel, 1)
    scene.channel.close(None, Bill(1.0, settled=True))
    scene.turn(4)
    assert all(pipe.said[-2:] == [("chunk", 0), ("ended", None)] for pipe in scene.pipes)
    assert not scene.channel.listeners


def test_news_and_audio_take_turns() -> None:
    """News go round like audio, and neither overtakes what it came behind."""
    scene = Scene(SLICE + 10)
    scene.channel.tell(b"news")
    grow(scene.channel, 1)
    assert ("chunk", 0) not in scene.pipes[0].said
    scene.turn(4)
    assert all(pipe.said[-2:] == [("news", b"news"), ("chunk", 0)] for pipe in scene.pipes)


def test_news_for_nobody_are_not_kept() -> None:
    """Without listeners there is no round, and who comes later does not hear old news."""
    scene = Scene(0)
    scene.channel.tell(b"news")
    assert not scene.channel.waits
    late = Pipe()
    listen(scene.channel, late)
    scene.turn()
    assert ("news", b"news") not in late.said


def test_times_are_those_of_the_first_and_the_last_listener() -> None:
    """First audio is measured behind the first write, a chunk's latency behind the last."""
    scene = Scene(SLICE + 10)
    first = scene.pipes[0]

    class Slow(Pipe):
        def send(self, chunks: object) -> None:
            scene.clock.at += 0.5

    scene.listeners[1]._line = Slow()
    scene.channel.append(b"one", 10, Flag.RANDOM_ACCESS, 999.0)
    assert (len(first.chunks), scene.value("relay_first_audio_seconds_sum")) == (1, 2.0)
    assert scene.value("relay_latency_seconds_count") == 0.0
    scene.turn()
    assert scene.value("relay_latency_seconds_sum") == 1.5


def test_who_comes_when_the_song_has_begun_is_no_measure_of_the_relay() -> None:
    """First audio counts only where somebody waited for it."""
    scene = Scene(0)
    grow(scene.channel, 1)
    listen(scene.channel, Pipe())
    grow(scene.channel, 1)
    assert scene.value("relay_first_audio_seconds_count") == 0.0
    assert scene.value("relay_latency_seconds_count") == 1.0


def test_a_listener_that_has_been_at_the_edge_is_still_told_of_lost_sound() -> None:
    """The short way is for chunks that need no word before them."""
    scene = Scene(1)
    grow(scene.channel, 2)
    scene.channel.append(b"torn", 10, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY, 1000.0)
    assert scene.pipes[0].said[-2:] == [("gap", 2, 2, "corrupt"), ("chunk", 2)]


def test_a_listener_that_is_full_holds_its_position_on_the_short_way_too() -> None:
    """And gets everything when it has room again, in one go."""
    scene = Scene(1)
    (pipe,), (listener,) = scene.pipes, scene.listeners
    grow(scene.channel, 1)
    pipe.room = 0
    grow(scene.channel, 2)
    assert (listener.next, scene.heard()) == (1, [1])
    pipe.room = None
    listener.pump()
    assert (listener.next, pipe.batches) == (3, [100, 200])


def test_a_follower_that_breaks_costs_no_listener_anything() -> None:
    """A format that cannot be made ends by itself."""
    scene = Scene(1)

    class Broken:
        failed = 0

        def pump(self) -> None:
            raise RuntimeError("a fault of ours")

        def tell(self, text: bytes) -> None:
            """News are not for it."""

        def fail(self) -> None:
            self.failed += 1

    follower = Broken()
    scene.channel.followers[follower] = None
    grow(scene.channel, 1)
    assert (follower.failed, scene.heard()) == (1, [1])
