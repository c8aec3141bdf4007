"""How a rendition ended, as its listeners are told.

Invariant: exactly one of a whole song and an error: `error` is None when, and only when, the song is complete.
It must not know who listens.
"""

from dataclasses import dataclass

from gateway.errors import WavegateError
from gateway.model import StreamId


@dataclass(frozen=True, slots=True)
class Outcome:
    """`chunks`, `size` (bytes) and `sha256` are of the joined payloads from seq 0 on, init first.

    `billed_seconds` is what the stream cost, `settled` whether the ledger has taken it.
    """

    stream_id: StreamId
    error: WavegateError | None
    duration_seconds: float
    chunks: int
    size: int
    sha256: str
    billed_seconds: float
    settled: bool
