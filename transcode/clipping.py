"""A process that cuts clips: orders on its standard input, files on its standard output, one after the other.

Started as `python -m transcode.clipping`; it ends when its input does, so a gateway that was killed leaves none behind.
An order is the lengths of its head and of the song, the head as MessagePack, and the song; an answer is made likewise,
of a head and a file. Invariant: whatever happens to one clip is said in its answer, and the process goes on.
It must not know who asks. Only here is the module loaded that loads pydub: whoever asks can import this one.
"""

import os
import signal
import struct
import sys
from contextlib import suppress
from typing import BinaryIO, Final, TypeVar

import msgspec

from transcode.edit import Edit
from transcode.errors import ClipError, TranscodeError, UnsupportedFormat
from transcode.formats import FORMATS
from transcode.spec import Wish

LENGTHS: Final = struct.Struct(">IQ")
_NICE: Final = 5  # live sound goes first
_REASON_MOST: Final = 300  # characters

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True):
    """What is to be made of the song that follows. `longest` is the most seconds."""

    edit: Edit
    format: str
    wish: Wish
    longest: float


class Answer(msgspec.Struct, frozen=True):
    """What came of an order. Without a `problem` the file follows.

    `problem` is "clip" or "format" where the order asked for what cannot be, `field` then says which of its wishes, and
    `message` is for whoever asked; it is "failed" for everything else, and `message` is for the log.
    """

    problem: str | None = None
    field: str = ""
    message: str = ""


def packed(head: Order | Answer, body: bytes = b"") -> bytes:
    """The message up to its body, which follows."""
    text = msgspec.msgpack.encode(head)
    return LENGTHS.pack(len(text), len(body)) + text


def unpacked(head: bytes, kind: type[T]) -> T:
    """The inverse, for the head alone. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(head, type=kind)


def answer(order: Order, song: bytes) -> tuple[Answer, bytes]:
    """The clip, or what is the matter."""
    from transcode.clip import clip

    try:
        return Answer(), clip(song, order.edit, FORMATS[order.format], order.wish, longest=order.longest)
    except ClipError as error:
        return Answer("clip", error.field, str(error)), b""
    except UnsupportedFormat as error:
        return Answer("format", error.field, str(error)), b""
    except Exception as error:  # whatever a codec raises is about this song alone
        kind = "" if isinstance(error, TranscodeError) else f"{type(error).__name__}: "
        return Answer("failed", "", f"{kind}{error}"[:_REASON_MOST]), b""


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answers orders until there are no more."""
    while len(lengths := source.read(LENGTHS.size)) == LENGTHS.size:
        size, length = LENGTHS.unpack(lengths)
        text, song = source.read(size), source.read(length)
        if len(text) + len(song) < size + length:
            break  # whoever asked died on the way
        head, file = answer(unpacked(text, Order), song)
        target.write(packed(head, file))
        target.write(file)
        target.flush()


def main() -> None:
    """The process, until its input ends."""
    # A signal that goes to the whole group is the gateway's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(AttributeError, OSError):
        os.nice(_NICE)
    # What a library prints must not get into a file.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(BrokenPipeError), target:
        serve(sys.stdin.buffer, target)


if __name__ == "__main__":
    main()
