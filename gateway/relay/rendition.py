"""The provider's own format as a rendition: its bytes, untouched, cut into chunks of whole codec frames.

Invariant: the joined payloads equal the provider's bytes from the first codec frame on, up to where the song is told to
fade out. A chunk leaves as soon as the slice that completes 100 ms has come in; one codec frame is held back so that
the last chunk can be marked as such. It must not know where the bytes come from or who listens.
"""

from collections.abc import Callable

from gateway.errors import UpstreamError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.cutting import SHORTEST_SECONDS, cuts
from transcode.errors import UnknownFormat
from transcode.fade import faded
from transcode.framer import CodecFrame, Framer
from transcode.silence import silent


class NativeRendition:
    """Feeds one channel with the provider's bytes."""

    def __init__(self, channel: Channel, now: Callable[[], float]) -> None:
        self.channel = channel
        self._framer = Framer()
        self._now = now
        self._first_byte_at: float | None = None
        self._pending: list[CodecFrame] = []
        self._samples = 0
        self._refused = False
        self._fade: tuple[float, float] | None = None
        self._silent = 0

    @property
    def seconds(self) -> float:
        """How much sound has come in."""
        return self.channel.seconds(self.channel.end_pts + self._samples)

    @property
    def silent_seconds(self) -> float:
        """How long the sound has been digital silence, up to its last whole chunk."""
        return self.channel.seconds(self._silent)

    def fade_out(self, begin: float, end: float) -> None:
        """What comes from now on grows quieter from second `begin` of the song on, and is silent from `end` on."""
        self._fade = begin, end

    def feed(self, data: bytes) -> None:
        """The next bytes of the song. Raises UpstreamError when they are not the audio that was asked for."""
        born = self._now()
        if self._first_byte_at is None:
            self._first_byte_at = born
        try:
            frames = self._framer.feed(data)
        except UnknownFormat:
            raise UpstreamError("upstream_protocol", "The provider sent something that is not audio.") from None
        self._take(frames, born)

    def finish(self, *, complete: bool) -> None:
        """The song is over; what is left goes out, marked as the last when the song is `complete`."""
        born = self._now()
        try:
            frames = self._framer.flush()
        except UnknownFormat:
            frames = []
        self._take(frames, born)
        if self._pending:
            self._emit(len(self._pending), born, last=complete)

    def _take(self, frames: list[CodecFrame], born: float) -> None:
        if not frames or self._refused:
            return
        if self.channel.details is None:
            self._open()
        for frame in frames:
            if frame.discontinuity and self._pending:
                self._cut(len(self._pending), born)
            self._pending.append(frame if self._fade is None else self._faded(frame, *self._fade))
            self._samples += frame.samples
        if self.channel.seconds(self._samples - self._pending[-1].samples) >= SHORTEST_SECONDS:
            self._cut(len(self._pending) - 1, born)

    def _faded(self, frame: CodecFrame, begin: float, end: float) -> CodecFrame:
        at, details, codec = self.channel.end_pts + self._samples, self.channel.details, self._framer.codec
        assert details is not None, "a framer that has given a frame knows what it is"
        assert codec is not None, "the same"
        loud, quiet = (
            min(1.0, max(0.0, (end - self.channel.seconds(sample)) / (end - begin)))
            for sample in (at, at + frame.samples)
        )
        return faded(frame, codec, details.channels, loud, quiet) if quiet < 1.0 else frame

    def _open(self) -> None:
        details = self._framer.format
        assert details is not None, "a framer knows its format once it has given a frame"
        assert self._first_byte_at is not None
        if details.format != self.channel.format:
            self._refused = True
            asked, came = self.channel.format.name, details.format.name
            raise UpstreamError("upstream_protocol", f"The provider was asked for {asked} and sent {came}.")
        self.channel.open(details, self._framer.init, self._first_byte_at)

    def _cut(self, count: int, born: float) -> None:
        details = self.channel.details
        assert details is not None, "it was opened with the first frame"
        for size in cuts([frame.samples for frame in self._pending[:count]], details.sample_rate):
            self._emit(size, born)

    def _emit(self, count: int, born: float, *, last: bool = False) -> None:
        frames, self._pending = self._pending[:count], self._pending[count:]
        duration = sum(frame.samples for frame in frames)
        self._samples -= duration
        codec = self._framer.codec
        assert codec is not None, "a framer that has given a frame knows what it is"
        # The first frame with a sound in it ends the look: one frame in eight is looked at.
        self._silent = self._silent + duration if all(silent(frame, codec) for frame in frames) else 0
        flags = Flag.RANDOM_ACCESS
        if frames[0].discontinuity:
            flags |= Flag.DISCONTINUITY
        if last:
            flags |= Flag.LAST
        self.channel.append(b"".join([frame.data for frame in frames]), duration, flags, born)
