"""What of a song has been heard: which frames are new, which are doubles, what is missing, and the hash of it all.

Invariant: a frame is let through once; `position` is the first frame not yet received; `verified` says True only of a
song that was heard whole and hashes to what the gateway announced. After a new epoch (another log of the same song)
places are compared by time, because sequence numbers of different epochs say nothing about each other.
It must not know connections or clocks.
"""

import hashlib

from gateway.client.wire import Frame
from gateway.model import Kind, Position
from gateway.protocol.events import StreamCompleted, StreamGap, StreamStarted

# Far less than a sample, more than the rounding of a division: two ways to write the same moment compare as equal.
_SAME_MOMENT = 1e-6


class Heard:
    """One song's account. `seconds` counts sound received, `end` is the time in the song at which it stops."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.frames = 0
        self.bytes = 0
        self.seconds = 0.0
        self.end = 0.0
        self.gaps = 0
        self.doubles = 0
        self._rendition = 0
        self._rate = 1
        self._whole = False
        self._init: bytes | None = None
        self._skip_until = 0.0
        self._elsewhere = False
        self._hash = hashlib.sha256()

    def started(self, message: StreamStarted) -> None:
        """What follows on a connection; not only the first one says so."""
        self._rendition = message.rendition
        self._rate = message.format.sample_rate
        if self.position is None:
            self._whole = message.seq == 0
            self.position = Position(message.epoch, message.seq)
        elif message.epoch != self.position.epoch:
            self._whole = False
            self._skip_until = self.end
            self._elsewhere = True
            self.position = Position(message.epoch, message.seq)

    def gap(self, message: StreamGap) -> None:
        """Frames that will not come; a gap in front of our position is none of ours."""
        if self.position is not None and message.to_seq > self.position.seq:
            self._missed(self.position, message.to_seq)

    def take(self, frame: Frame) -> bool:
        """Whether this frame is the next piece of the song, in which case it is accounted for."""
        header, payload = frame
        if self.position is None or header.rendition != self._rendition:
            return False
        if header.kind is Kind.INIT:
            return self._take_init(payload)
        if header.seq < self.position.seq:
            self.doubles += 1
            return False
        if header.seq > self.position.seq:
            self._missed(self.position, header.seq)
        self.position = Position(self.position.epoch, header.seq + 1)
        end = (header.pts + header.duration) / self._rate
        if end <= self._skip_until + _SAME_MOMENT:
            self.doubles += 1
            return False
        if self._elsewhere and header.pts / self._rate > self.end + _SAME_MOMENT:
            self.gaps += 1
        self._elsewhere = False
        self.end = end
        self.frames += 1
        self.seconds += header.duration / self._rate
        self._account(payload)
        return True

    @property
    def sha256(self) -> str | None:
        """The hash of all payloads so far, in hex; None when they are not the song's from its start without a gap."""
        return self._hash.hexdigest() if self._whole else None

    def verified(self, completed: StreamCompleted) -> bool | None:
        """Whether the joined payloads are what the gateway announced; None when not everything was heard."""
        return None if self.sha256 is None else self.sha256 == completed.sha256

    def _take_init(self, payload: bytes) -> bool:
        """Every attachment begins with the container's header: it is heard once, unless another log has another."""
        if payload == self._init:
            return False
        self._init = payload
        self._account(payload)
        return True

    def _missed(self, position: Position, next_seq: int) -> None:
        self.gaps += 1
        self._whole = False
        self.position = Position(position.epoch, next_seq)

    def _account(self, payload: bytes) -> None:
        self.bytes += len(payload)
        if self._whole:
            self._hash.update(payload)
