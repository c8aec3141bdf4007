"""What the codec room raises.

Invariant: one tree, and no audio in any message. It knows nothing of the gateway: callers translate at their own
border.
"""


class TranscodeError(Exception):
    """Something about the audio is wrong; the message says what, in a sentence without the audio in it."""


class UnknownFormat(TranscodeError):  # noqa: N818 - a fact about the input, read as `except UnknownFormat`
    """The first bytes are neither MPEG audio nor a WAV that can be read."""


class EncodeError(TranscodeError):
    """The encoder refused its parameters or its input."""
