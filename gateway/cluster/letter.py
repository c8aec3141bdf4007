"""What travels between nodes: a letter, and how a refusal is put into one and raised again on the other side.

Invariant: a letter is read by a node of another version as well: fields are added at the end, with a default, and an
error that this version does not know is `internal`. What does not read as a letter is none.
It must not know how letters travel, nor what their bodies mean.
"""

import msgspec

from gateway.errors import (
    HANDLING,
    AccessError,
    LimitError,
    RequestError,
    ServiceError,
    UpstreamError,
    WavegateError,
)

_CLASSES = {kind.__name__: kind for kind in (RequestError, AccessError, LimitError, UpstreamError, ServiceError)}


class Refusal(msgspec.Struct, array_like=True, frozen=True):
    """A WavegateError; `retry_after` in seconds."""

    kind: str
    code: str
    sentence: str
    param: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: WavegateError) -> "Refusal":
        return cls(type(error).__name__, error.code, error.message, error.param, error.retry_after)

    def error(self) -> WavegateError:
        """The same error, to be raised here."""
        kind = _CLASSES.get(self.kind)
        if kind is None or self.code not in HANDLING:
            return ServiceError(
                "internal", "Another node of this gateway refused this in words that are not known here."
            )
        return kind(self.code, self.sentence, param=self.param, retry_after=self.retry_after)


class Letter(msgspec.Struct, array_like=True, frozen=True):
    """From one node to another.

    A question has a `kind`, a `number` that is the sender's own, and for how many `seconds` the answer is awaited; its
    answer has that number, no kind, and a body or a `refusal`. What is only told has the number 0.
    """

    sender: str
    kind: str
    number: int = 0
    body: bytes = b""
    refusal: Refusal | None = None
    seconds: float = 0.0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Letter)


def write(letter: Letter) -> bytes:
    """Its octets."""
    return _encoder.encode(letter)


def read(octets: bytes) -> Letter | None:
    """The letter that these are, or None."""
    try:
        return _decoder.decode(octets)
    except (ValueError, RecursionError):
        return None
