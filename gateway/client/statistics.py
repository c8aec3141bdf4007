"""How a song is going, in numbers: a snapshot for progress displays, logs and load tests.

Invariant: every number was measured by this client or told by the gateway; what neither knows is None.
It must not know how the song is heard.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """Times in seconds, sizes in bytes.

    `first_audio` is from the order to the first sound, `elapsed` from the first sound until now (or the end),
    `seconds` is sound received. `behind` is how much is known to exist that has not been received yet: the gateway
    tells how far a generation is when something changes, not all the time.
    """

    first_audio: float | None = None
    elapsed: float = 0.0
    seconds: float = 0.0
    bytes: int = 0
    frames: int = 0
    behind: float = 0.0
    listeners: int | None = None
    reconnects: int = 0
    gaps: int = 0
    doubles: int = 0

    @property
    def bit_rate(self) -> float | None:
        """Bits a second of sound; None before the first sound."""
        return self.bytes * 8 / self.seconds if self.seconds > 0 else None

    @property
    def speed(self) -> float | None:
        """Seconds of sound received in a second; None until there is enough to tell."""
        return self.seconds / self.elapsed if self.elapsed >= 1.0 else None
