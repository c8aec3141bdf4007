"""What the codec room raises.

Invariant: one tree, and no audio in any message. It knows nothing of the gateway: callers translate at their own
border.
"""


class TranscodeError(Exception):
    """Something about the audio is wrong; the message says what, in a sentence without the audio in it."""


class UnknownFormat(TranscodeError):  # noqa: N818 - a fact about the input, read as `except UnknownFormat`
    """The first bytes are neither MPEG audio nor a WAV that can be read."""


class UnsupportedFormat(TranscodeError):  # noqa: N818 - a fact about the wish, read as `except UnsupportedFormat`
    """A codec has no such rate, bitrate or number of channels; the message lists what it has. `field` is which one."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class EncodeError(TranscodeError):
    """The encoder refused its parameters or its input."""


class ClipError(TranscodeError):
    """A clip cannot be cut as it was asked for; the message names what is possible. `field` is the one of `Edit`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
