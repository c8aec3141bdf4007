"""What a client reads off the wire: control messages by their type, and frames in either framing.

Invariant: unknown types are skipped and unknown fields ignored, so that a newer gateway can be talked to; a known type
that is malformed is an error. The structs themselves are gateway.protocol's. No I/O here.
"""

import base64
import binascii
from typing import Any, NamedTuple

import msgspec

from gateway.errors import RequestError
from gateway.model import Flag, Kind
from gateway.protocol import events
from gateway.protocol.frames import Header, unpack


class Frame(NamedTuple):
    """Whole codec frames of the song, or a container's header (`header.kind` is `Kind.INIT`)."""

    header: Header
    payload: bytes


ServerMessage = (
    events.SessionCreated
    | events.StreamCreated
    | events.StreamQueued
    | events.StreamStarted
    | events.StreamMetadata
    | events.StreamGap
    | events.StreamCompleted
    | events.StreamFailed
    | events.QuotaUpdated
    | events.Goaway
    | events.Pong
    | events.Error
)

_KNOWN: dict[str, msgspec.json.Decoder[Any]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind)
    for kind in (
        events.SessionCreated,
        events.StreamCreated,
        events.StreamQueued,
        events.StreamStarted,
        events.AudioDelta,
        events.StreamMetadata,
        events.StreamGap,
        events.StreamCompleted,
        events.StreamFailed,
        events.QuotaUpdated,
        events.Goaway,
        events.Pong,
        events.Error,
    )
}


class _Envelope(msgspec.Struct):
    type: str


_envelope = msgspec.json.Decoder(_Envelope)


class Unreadable(Exception):  # noqa: N818 - a fact about the message
    """The gateway sent something that is not `wavegate.v1`; says what, without the content."""


def decode(message: bytes | str) -> ServerMessage | Frame | None:
    """A WebSocket message: bytes are a frame, text is JSON. None for a type that is not known here.

    Raises Unreadable.
    """
    try:
        if isinstance(message, bytes):
            return Frame(*unpack(message))
        decoder = _KNOWN.get(_envelope.decode(message).type)
        if decoder is None:
            return None
        event = decoder.decode(message)
        return _frame(event) if isinstance(event, events.AudioDelta) else event
    except RequestError as error:
        raise Unreadable(error.message) from None
    except (msgspec.DecodeError, KeyError, ValueError, RecursionError, binascii.Error) as error:
        raise Unreadable(f"The gateway sent a message that cannot be read: {error}.") from None


def _frame(delta: events.AudioDelta) -> Frame:
    """The json framing as what it stands for."""
    kind, flags = Kind[delta.kind.upper()], Flag(delta.flags)
    header = Header(kind, flags, delta.rendition, delta.pts, delta.seq, delta.duration)
    return Frame(header, base64.b64decode(delta.data, validate=True))
