"""Every interleaving of append, stall, drain, join, leave and close, against a model of a few lines.

Invariant under test: a listener has received exactly the chunks from its start on, in order, less the gaps that it was
told of before; it has everything as soon as its transport takes everything; the end comes once, after all audio.
The model knows the payloads and nothing of how the relay finds them.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import UpstreamError
from gateway.model import Flag
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Bill
from tests.support.relay import Pipe, drain, listen, open_channel

ROOM = st.none() | st.integers(0, 400)


class Heard:
    """One listener, where it began, and whether it has left of its own will."""

    def __init__(self, listener: Listener, pipe: Pipe, wanted: int) -> None:
        self.listener = listener
        self.pipe = pipe
        self.wanted = wanted
        self.left = False

    def replay(self) -> tuple[int, str | None]:
        """Walks through what was said; gives the next seq that is due, and how it ended if it did."""
        due, ended = self.wanted, None
        for what, *details in self.pipe.said:
            assert ended is None, "nothing follows the end"
            if what == "gap":
                start, stop, reason = details
                assert start == due
                assert isinstance(stop, int)
                assert stop > due, "a gap skips something"
                assert self.listener.on_lag is OnLag.LIVE or (reason == "retention" and due == self.wanted)
                due = stop
            elif what == "chunk":
                assert details == [due], "each chunk once, in order"
                due += 1
            elif what != "started":
                ended = str(what)
        return due, ended


class Interleavings(RuleBasedStateMachine):
    """A channel, those who listen to it, and what was appended."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: list[bytes] = []
        self.heard: list[Heard] = []

    @initialize(limit=st.sampled_from([1 << 20, 1000]))
    def open(self, limit: int) -> None:
        self.channel = open_channel(max_bytes=limit)

    @precondition(lambda self: self.channel.outcome is None)
    @rule(size=st.integers(4, 300), flags=st.sampled_from([Flag.NONE, Flag.RANDOM_ACCESS]))
    def append(self, size: int, flags: Flag) -> None:
        payload = (b"%04d" % len(self.payloads)).ljust(size, b"\0")
        self.payloads.append(payload)
        self.channel.append(payload, 4410, flags, 1000.0)

    @rule(room=ROOM, on_lag=st.sampled_from(OnLag), back=st.integers(0, 30))
    def join(self, room: int | None, on_lag: OnLag, back: int) -> None:
        pipe, wanted = Pipe(room), max(0, len(self.payloads) - back)
        self.heard.append(Heard(listen(self.channel, pipe, wanted, on_lag, live_lag=0.35), pipe, wanted))

    @precondition(lambda self: self.heard)
    @rule(data=st.data(), room=ROOM)
    def drain(self, data: st.DataObject, room: int | None) -> None:
        one = data.draw(st.sampled_from(self.heard))
        drain(one.listener, one.pipe, room)

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def stall(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.heard)).pipe.room = 0

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.heard))
        one.listener.leave()
        one.left = True

    @precondition(lambda self: self.channel.outcome is None)
    @rule(error=st.none() | st.just(UpstreamError("upstream_failed", "It failed.")))
    def close(self, error: UpstreamError | None) -> None:
        self.channel.close(error, Bill(0.0, settled=True))

    @invariant()
    def everybody_has_heard_what_the_model_says(self) -> None:
        for one in self.heard:
            due, ended = one.replay()
            assert one.pipe.heard == b"".join(self.payloads[chunk.seq] for chunk in one.pipe.chunks)
            assert [chunk.pts for chunk in one.pipe.chunks] == [4410 * chunk.seq for chunk in one.pipe.chunks]
            assert due == one.listener.next
            if ended == "refused":
                assert one.listener.on_lag is OnLag.COMPLETE
                assert due < self.channel.first
            elif ended == "ended":
                assert due == len(self.payloads)
                assert self.channel.outcome is not None
            elif not one.left and one.pipe.writable:
                assert due == len(self.payloads), "it takes everything, so it has everything"
                assert self.channel.outcome is None

    @invariant()
    def who_has_left_is_not_in_the_channel(self) -> None:
        there = {one.listener for one in self.heard if not one.left and one.replay()[1] is None}
        assert set(self.channel.listeners) == there


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(stateful_step_count=30, deadline=None)
