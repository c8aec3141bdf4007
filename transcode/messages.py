"""What the gateway and a worker process say to each other, and how it lies on the wire.

A message is a 4-byte big-endian length and that many bytes of MessagePack. Every Step is answered by one Done or
Failed, in the order of the steps; Close is not answered; Ready comes once, before everything else.
Invariant: a message is at most MESSAGE_MOST bytes, and audio is copied once on its way into a message and once out.
It must not know sockets, processes or codecs.
"""

from typing import Generic, TypeVar

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder

from transcode.packet import Encoded, Resume
from transcode.spec import EncoderSpec

# Bytes of the song in one step. A gateway sends a quarter of a second at once, which is 20 kB of mp3 and 72 kB of WAV.
STEP_MOST = 1 << 20
# What comes out can be much more: a minute of PCM is 12 MB.
MESSAGE_MOST = 16 << 20
_HEAD = 4

T = TypeVar("T")


class MessageError(ValueError):
    """What was read is no message, or one that is too long."""


class Step(Struct, frozen=True, array_like=True, tag=True):
    """Bytes of encode `number`. The first one has a `spec`, with which the encode begins, and maybe a `resume`."""

    number: int
    data: bytes
    discontinuity: bool = False
    last: bool = False
    spec: EncoderSpec | None = None
    resume: Resume | None = None


class Close(Struct, frozen=True, array_like=True, tag=True):
    """Encode `number` is needed no more. One that has failed, or whose last step is done, needs no Close."""

    number: int


class Ready(Struct, frozen=True, array_like=True, tag=True):
    """The worker has started and every codec is warm."""


class Done(Struct, frozen=True, array_like=True, tag=True):
    """A step of encode `number` is done: seconds of audio that came of it, and of processor time that it took."""

    number: int
    result: Encoded
    audio_seconds: float
    cpu_seconds: float


class Failed(Struct, frozen=True, array_like=True, tag=True):
    """A step of encode `number` has failed, and with it the encode; `reason` is for the log."""

    number: int
    reason: str
    cpu_seconds: float


Request = Step | Close
Answer = Done | Failed
Reply = Ready | Done | Failed

REQUESTS: Decoder[Request] = Decoder(Request)
REPLIES: Decoder[Reply] = Decoder(Reply)
_ENCODER = Encoder()


def pack(message: Request | Reply) -> bytearray:
    """The message as it is sent. Raises MessageError when it is too long."""
    # Behind room for the length, so that the audio is not copied once more.
    wire = bytearray(_HEAD)
    _ENCODER.encode_into(message, wire, _HEAD)
    size = len(wire) - _HEAD
    if size > MESSAGE_MOST:
        raise MessageError(f"a message of {size} bytes is longer than {MESSAGE_MOST}")
    wire[:_HEAD] = size.to_bytes(_HEAD, "big")
    return wire


class Unpacker(Generic[T]):
    """Messages out of bytes that come cut anywhere; `decoder` is REQUESTS in a worker, REPLIES in the gateway."""

    def __init__(self, decoder: Decoder[T]) -> None:
        self._decoder = decoder
        self._rest = bytearray()

    def feed(self, data: bytes | memoryview) -> list[T]:
        """The messages that are whole with `data`. Raises MessageError; nothing more can be read after that."""
        if self._rest:
            self._rest += data
        # The usual case is whole messages in one piece, which are decoded where they lie.
        with memoryview(self._rest or data) as view:
            messages, end = self._decoded(view)
            rest = None if self._rest else bytes(view[end:])
        if rest is None:
            del self._rest[:end]
        else:
            self._rest += rest
        return messages

    def _decoded(self, view: memoryview) -> tuple[list[T], int]:
        """The whole messages in `view`, and where the rest begins."""
        messages: list[T] = []
        begin = 0
        while len(view) - begin >= _HEAD:
            size = int.from_bytes(view[begin : begin + _HEAD], "big")
            if size > MESSAGE_MOST:
                raise MessageError(f"a message of {size} bytes is announced, more than {MESSAGE_MOST}")
            end = begin + _HEAD + size
            if end > len(view):
                break
            try:
                messages.append(self._decoder.decode(view[begin + _HEAD : end]))
            except DecodeError as error:
                raise MessageError(str(error)) from None
            begin = end
        return messages, begin
