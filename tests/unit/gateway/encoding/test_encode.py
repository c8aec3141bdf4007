"""One encode: it ends once, its first step tells what it is, and a closed one is silent.

Invariant under test: whatever comes in whatever order, the place is given back once and nothing is told after a close.
It must not know desks: a stand-in owner notes what it is asked.
"""

import logging

import pytest

from gateway.encoding.encode import Encode
from gateway.errors import WavegateError
from tests.support.parrots import SPEC, Heard, events
from transcode.messages import STEP_MOST, Done, Failed, Step
from transcode.packet import Encoded, Resume

RESUME = Resume(960, 1152, 3)
DONE = Done(1, Encoded((), None), 0.0, 0.0)


class Owner:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.queued = 0
        self.left: list[bool] = []

    def queue(self, encode: Encode) -> None:
        self.queued += 1

    def leave(self, encode: Encode, *, known: bool) -> None:
        self.left.append(known)


def start(sink: Heard) -> tuple[Owner, Encode]:
    """An encode of its own owner."""
    owner = Owner()
    return owner, Encode(owner, 1, SPEC, sink, RESUME)


async def test_the_first_step_tells_what_to_encode() -> None:
    """The later ones are their bytes and flags alone."""
    sink = Heard()
    owner, encode = start(sink)
    encode.step(b"a", discontinuity=True)
    assert encode.take() == Step(1, b"a", discontinuity=True, spec=SPEC, resume=RESUME)
    encode.answered(DONE, last=False)
    encode.step(b"b", last=True)
    assert encode.take() == Step(1, b"b", last=True)
    assert (owner.queued, owner.left) == (2, [])
    encode.answered(DONE, last=True)
    assert (len(sink.results), owner.left) == (2, [False])


async def test_one_step_at_a_time_and_a_short_one() -> None:
    """Who does otherwise has not understood the interface."""
    _, encode = start(Heard())
    with pytest.raises(AssertionError):
        encode.step(bytes(STEP_MOST + 1))
    encode.step(b"a")
    with pytest.raises(AssertionError):
        encode.step(b"b")


async def test_a_closed_one_is_silent() -> None:
    """Closed in mid-step, the worker is told; before its first step is taken, the worker knows nothing to forget."""
    sink = Heard()
    owner, encode = start(sink)
    encode.step(b"a")
    encode.take()
    encode.close()
    encode.close()
    encode.answered(DONE, last=False)
    encode.step(b"b")
    encode.lost()
    assert (sink.said, owner.left, owner.queued) == (0, [True], 1)
    owner, encode = start(sink)
    encode.step(b"a")
    encode.close()
    assert owner.left == [False]


async def test_a_failure_is_told_in_our_words(caplog: pytest.LogCaptureFixture) -> None:
    """The reason is for the log."""
    sink = Heard()
    owner, encode = start(sink)
    encode.step(b"a")
    encode.take()
    encode.answered(Failed(1, "it does not sing", 0.0), last=False)
    encode.close()
    assert [error.body()["code"] for error in sink.errors] == ["transcoding_failed"]
    assert (sink.said, owner.left) == (1, [False])
    assert "sing" not in sink.errors[0].message
    assert events(caplog) == ["codec.encode_failed"]
    assert caplog.records[0].fields["reason"] == "it does not sing"


async def test_a_loss_is_told_once() -> None:
    """Its end is noted before, so what it is asked meanwhile is in vain but no fault."""
    sink = Heard()
    owner, encode = start(sink)
    encode.step(b"a")
    encode.end()
    encode.step(b"b")
    encode.lost()
    encode.lost()
    assert (sink.losses, sink.said, owner.left, owner.queued) == (1, 1, [False], 1)


@pytest.mark.parametrize("last", [False, True])
async def test_a_sink_with_a_fault_loses_its_encode_only(last: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once that this is the end, so that nobody waits; the fault is in the log, with its place."""
    sink = Heard()
    sink.fault = ValueError("a fault")
    owner, encode = start(sink)
    encode.step(b"a")
    encode.take()
    encode.answered(DONE, last=last)
    assert (events(caplog), owner.left) == (["codec.encode_unheard"], [not last])
    assert [error.code for error in sink.errors] == ["internal"]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].levelno == logging.ERROR


async def test_a_sink_with_a_fault_at_its_end_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing more to tell."""

    class Deaf(Heard):
        def failed(self, error: WavegateError) -> None:
            raise error

    owner, encode = start(Deaf())
    encode.step(b"a")
    encode.take()
    encode.answered(Failed(1, "no", 0.0), last=False)
    assert (events(caplog), owner.left) == (["codec.encode_failed", "codec.encode_unheard"], [False])
