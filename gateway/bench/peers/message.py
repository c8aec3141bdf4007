"""The messages that WebSocket peers send: our header with an ascending seq, and the same bytes behind it.

Invariant: a message depends on its number, size and period alone, so that all peers send the same.
It must not know who sends them.
"""

from gateway.model import Flag, Kind
from gateway.protocol.frames import HEADER, VERSION

RATE = 48_000
"""Samples a second, of the sound that a header speaks of."""

_BYTES = bytes(range(256))


class Messages:
    """Messages of `size` bytes, header included, each worth `period` seconds of sound."""

    def __init__(self, size: int, period: float) -> None:
        if size < HEADER.size:
            raise ValueError(f"A message has a header, so it has {HEADER.size} bytes or more.")
        self._duration = round(period * RATE)
        length = size - HEADER.size
        self._payload = (_BYTES * (length // len(_BYTES) + 1))[:length]

    def message(self, seq: int) -> bytes:
        """The one of this number, from 0 on."""
        header = HEADER.pack(VERSION, Kind.AUDIO, Flag.RANDOM_ACCESS, 0, seq * self._duration, seq, self._duration)
        return header + self._payload
