"""A desk: two steps at the worker, one waiting for each encode, everybody in turn, and every end counted.

Invariant under test: the worker has work while there is any, never more than two steps, and no encode is served twice
while another waits. It must not know workers: requests go into a list, answers come from the test.
"""

import pytest

from gateway.encoding.desk import IN_FLIGHT, Desk
from gateway.encoding.encode import Encode
from metrics.recorder import Recorder
from tests.support.parrots import PCM, SPEC, Heard, active, spent
from tests.support.relay import Clock
from transcode.messages import Close, Done, Failed, MessageError, Request, Step
from transcode.packet import Encoded


class Table:
    """A desk, what it has sent, and the answers to that."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.recorder = Recorder()
        self.clock = Clock()
        self.desk = Desk(self.sent.append, self.recorder, self.clock)

    def encode(self, song: list[bytes] | None = None) -> tuple[Encode, Heard]:
        """An encode that has begun with its song, if it has one."""
        sink = Heard(song)
        sink.encode = encode = self.desk.open(SPEC, sink, None)
        sink.go_on()
        return encode, sink

    def answer(self, number: int) -> None:
        self.desk.answered(Done(number, Encoded((), None), 0.5, 0.25))

    @property
    def steps(self) -> list[tuple[int, bytes]]:
        return [(request.number, request.data) for request in self.sent if isinstance(request, Step)]


async def test_two_steps_are_on_their_way_and_the_rest_waits() -> None:
    """An answer makes room for one; the next step of who was answered comes behind those that wait."""
    table = Table()
    for number in range(1, 5):
        table.encode([b"%d%d" % (number, step) for step in range(3)])
    assert table.steps == [(1, b"10"), (2, b"20")]
    table.answer(1)
    assert table.steps[2:] == [(3, b"30")]
    served = [1, 2]
    for number in (2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4):
        assert len(table.steps) - len(served) - 1 < IN_FLIGHT
        table.answer(number)
        served.append(number)
    assert [number for number, _ in table.steps] == [1, 2, 3, 4] * 3
    assert len(table.desk) == 0
    assert spent(table.recorder, "audio") == 6.0
    assert spent(table.recorder, "cpu") == 3.0


async def test_a_close_takes_the_waiting_step_along() -> None:
    """The worker is told to forget what it knows, and its answer is counted but not told."""
    table = Table()
    first, heard = table.encode([b"a"])
    table.encode([b"b"])
    third, _ = table.encode([b"c"])
    third.close()
    first.close()
    assert table.sent[2:] == [Close(1)]
    assert (len(table.desk), active(table.recorder)) == (1, 1.0)
    table.answer(1)
    table.answer(2)
    assert (heard.said, len(table.steps)) == (0, 2)
    assert spent(table.recorder, "audio") == 1.0


async def test_a_failure_is_counted_and_gives_the_place_back() -> None:
    """It cost time and made nothing; the worker has forgotten it by itself."""
    table = Table()
    _, heard = table.encode([b"a"])
    table.desk.answered(Failed(1, "no", 0.25))
    assert (len(heard.errors), len(table.desk), active(table.recorder), len(table.sent)) == (1, 0, 0.0, 1)
    assert (spent(table.recorder, "audio"), spent(table.recorder, "cpu")) == (0.0, 0.25)


async def test_the_age_of_the_step_at_the_head_is_known() -> None:
    """It begins when it is handed out to an idle worker, or when the one before it is answered."""
    table = Table()
    assert table.desk.since is None
    table.encode([b"a"])
    table.clock.at += 1
    table.encode([b"b"])
    assert table.desk.since == 1000.0
    table.answer(1)
    assert table.desk.since == 1001.0
    table.answer(2)
    assert table.desk.since is None


async def test_an_answer_that_nobody_waits_for_is_a_fault() -> None:
    """To another encode than the next one, or to none."""
    table = Table()
    with pytest.raises(MessageError):
        table.answer(1)
    table.encode([b"a"])
    table.encode([b"b"])
    with pytest.raises(MessageError):
        table.answer(2)


async def test_all_are_lost_together() -> None:
    """Places come back before anybody is told; who is closed by another's loss is not told; no more is sent."""
    table = Table()
    places: list[int] = []
    one, other = table.encode([b"a"]), table.encode([b"b"])
    third = table.desk.open(PCM, Heard(), None)

    class Watching(Heard):
        def lost(self) -> None:
            super().lost()
            places.append(len(table.desk))
            other[0].close()
            third.step(b"c")

    watching = Watching()
    one[0]._sink = watching
    table.desk.lose()
    assert (watching.losses, other[1].said, places) == (1, 0, [0])
    assert len(table.sent) == 2
    assert (active(table.recorder), active(table.recorder, "pcm"), table.desk.since) == (0.0, 0.0, None)
