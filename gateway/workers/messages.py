"""What a worker and its supervisor say to each other: a line of JSON each, over a socket that both have from the start.

Invariant: a worker says that it is ready once, that it leaves once, and its last page once, in that order; the
supervisor says one thing only. Whatever else is to be told is told by a signal, or by the socket's end.
It must not know what comes of it.
"""

import msgspec

STOP = b"stop\n"
"""The supervisor's only word: end at once. That it wants an orderly end it says by SIGTERM."""


class Ready(msgspec.Struct, tag="ready", tag_field="said", frozen=True):
    """It serves; its addresses as URLs without a trailing slash."""

    public: str
    internal: str


class Leaving(msgspec.Struct, tag="leaving", tag_field="said", frozen=True):
    """It accepts nothing more."""


class Last(msgspec.Struct, tag="last", tag_field="said", frozen=True):
    """Its metrics when all was done, as a page in the text format."""

    page: str


Message = Ready | Leaving | Last

decoder = msgspec.json.Decoder(Message)
_encode = msgspec.json.Encoder().encode


def line(message: Message) -> bytes:
    return _encode(message) + b"\n"
