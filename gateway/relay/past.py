"""What is remembered of a log that was given up: when each of its chunks began.

A listener that was in the middle of it can so go on in another format of the song.
Invariant: eight bytes a chunk, and no audio. It must not know why the log is gone.
"""

from array import array
from dataclasses import dataclass

from gateway.relay.channel import Channel


@dataclass(frozen=True, slots=True)
class Past:
    """`begins` are in samples at `sample_rate`, of the chunks from `first` on and of the one that was to come."""

    epoch: int
    sample_rate: int
    first: int
    begins: "array[int]"

    @classmethod
    def of(cls, channel: Channel) -> "Past":
        """Of a channel that still has its chunks."""
        rate = channel.details.sample_rate if channel.details else 1
        begins = array("Q", [*[chunk.pts for chunk in channel.retained], channel.end_pts])
        return cls(channel.rendition.epoch, rate, channel.first, begins)

    def moment(self, seq: int) -> float | None:
        """The second at which chunk `seq` began; None for one that was not retained."""
        index = seq - self.first
        return self.begins[index] / self.sample_rate if 0 <= index < len(self.begins) else None
