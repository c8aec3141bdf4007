"""The provider's own bytes once more, under another name: for who wished, before the first sound, for the very numbers
that the song turns out to have.

Invariant: the log is the provider's, chunk by chunk, begun with its first one; nothing is encoded, and no byte is held
twice. It must not know who wished for it.
"""

from collections.abc import Callable

from gateway.errors import ServiceError, WavegateError
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.track import Track

_STEP_BYTES = 1 << 20


class Mirror:
    """Feeds `channel` from `native`, until that is over or this is closed."""

    track: Track | None = None

    def __init__(self, channel: Channel, native: Channel, now: Callable[[], float], on_end: Callable[[], None]) -> None:
        self._channel = channel
        self._native = native
        self._on_end = on_end
        assert native.details is not None, "its numbers are those that were wished for"
        init = native.init.payload if native.init is not None else b""
        channel.open(native.details, init, now())
        native.followers[self] = None

    def pump(self) -> None:
        """Hands on what has come."""
        channel, native = self._channel, self._native
        while channel.end < native.end:
            for chunk in native.read(channel.end, _STEP_BYTES):
                channel.append(chunk.payload, chunk.duration, chunk.flags, chunk.born)
        if native.outcome is not None:
            self._end(native.outcome.error, native.outcome.bill)

    def tell(self, text: bytes) -> None:
        """News beside the sound are told in each channel."""

    def fail(self) -> None:
        """A fault of ours in this one."""
        self._end(
            ServiceError("internal", "Something went wrong while this format was made."), Bill(0.0, settled=False)
        )

    def close(self) -> None:
        """Nobody listens any more."""
        self._native.followers.pop(self, None)

    def _end(self, error: WavegateError | None, bill: Bill) -> None:
        self.close()
        if self._channel.outcome is None:
            self._channel.close(error, bill)
            self._on_end()
