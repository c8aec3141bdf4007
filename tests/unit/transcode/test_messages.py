"""The wire between the processes: what goes in comes out, however it is cut, and what is no message is refused.

Invariant under test: a message is whole or not there, and no length that is announced makes anybody hold more than the
most. It must not know who sends what when.
"""

import random

import pytest

from transcode import messages
from transcode.messages import REPLIES, REQUESTS, Close, Done, Failed, MessageError, Ready, Step, Unpacker, pack
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec

SPEC = EncoderSpec("opus", 48000, 2, 96000, -16.0)
STEPS = [
    Step(1, b"first", spec=SPEC, resume=Resume(960, 1152, 529)),
    Step(1, bytes(range(256)) * 300, discontinuity=True),
    Step(2, b"", last=True),
    Close(1),
]
PACKETS = (Packet(b"one", -312, 960), Packet(b"two", 648, 960, padding=7, discontinuity=True))
ANSWERS = [
    Ready(),
    Done(1, Encoded(PACKETS, CodecConfig(SPEC, 312, b"OpusHead"), 5), 0.04, 0.001),
    Done(2, Encoded((), None), 0.0, 0.0),
    Failed(3, "no", 0.5),
]


def test_what_goes_in_comes_out() -> None:
    """Every message in both directions, with every field, several in one piece."""
    assert Unpacker(REQUESTS).feed(b"".join(map(pack, STEPS))) == STEPS
    assert Unpacker(REPLIES).feed(memoryview(b"".join(map(pack, ANSWERS)))) == ANSWERS


@pytest.mark.parametrize("most", [1, 3, 1000, 50_000])
def test_messages_may_be_cut_anywhere(most: int) -> None:
    """Pieces of a byte, or a few, or several messages with the begin of the next one."""
    wire, dice = b"".join(map(pack, STEPS * 2)), random.Random(most)
    unpacker, found = Unpacker(REQUESTS), []
    while wire:
        size = dice.randint(1, most)
        found += unpacker.feed(wire[:size])
        wire = wire[size:]
    assert found == STEPS * 2


def test_audio_is_kept_apart_from_the_buffer() -> None:
    """A buffer that is read into again does not change what was taken out of it."""
    buffer = bytearray(pack(STEPS[0]))
    (step,) = Unpacker(REQUESTS).feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert step == STEPS[0]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\xa4Step\x01", b"\x91\xa5Other", pack(Ready())[4:]])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    """Garbage, half a message, and a message of the other direction."""
    with pytest.raises(MessageError):
        Unpacker(REQUESTS).feed(len(body).to_bytes(4, "big") + body)


def test_too_long_is_refused_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender does not send it, and the reader does not wait for it."""
    with pytest.raises(MessageError, match="4294967295"):
        Unpacker(REPLIES).feed(b"\xff\xff\xff\xff")
    monkeypatch.setattr(messages, "MESSAGE_MOST", 100)
    with pytest.raises(MessageError, match="longer than 100"):
        pack(Step(1, bytes(100)))
