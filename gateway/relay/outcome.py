"""How a rendition ended and what its stream cost, as its listeners are told.

Invariant: exactly one of a whole song and an error: `error` is None when, and only when, the song is complete.
It must not know who listens.
"""

from dataclasses import dataclass

from gateway.errors import WavegateError
from gateway.model import StreamId


@dataclass(frozen=True, slots=True)
class Bill:
    """What a stream cost: seconds of audio, `settled` once the ledger has taken them.

    `characters` is what the provider bills where its model counts text.
    """

    seconds: float
    settled: bool
    characters: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`chunks`, `size` (bytes) and `sha256` are of the joined payloads from seq 0 on, init first."""

    stream_id: StreamId
    error: WavegateError | None
    duration_seconds: float
    chunks: int
    size: int
    sha256: str
    bill: Bill

    @property
    def soft(self) -> bool:
        """Whether what was sent is all there is to have: whole, or as far as its buyer's budget went."""
        return self.error is None or self.error.code == "quota_exceeded"
