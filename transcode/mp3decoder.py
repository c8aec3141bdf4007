"""The sound of MP3 frames, without what an encoder put around it.

Invariant: a frame of n samples becomes n samples, silence where the decoder refuses it, so that time in the song is
time in its frames; of these only what the Info frame calls padding is dropped. Where silence takes the place of sound
that had begun, sound is missing. All of it comes at the first frame's rate and channels, whatever a damaged or spliced
stream turns into.
It must not know framing: frames come whole, and say themselves where bytes were lost.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import av
import numpy as np
from av.audio.plane import AudioPlane
from numpy.typing import NDArray

from transcode.formats import CodecFrame
from transcode.lametag import Trim, trim
from transcode.mp3header import parse_header
from transcode.remix import Remix
from transcode.samples import Block, Sound, limited

_FLOAT = 4  # bytes of a sample
# As behind a frame that comes alone: what is damaged is read beyond its end, and shall sound alike. Before a frame the
# decoder skips them.
_BETWEEN = bytes(64)
_MOST_HELD = 16  # frames
# Frames after which a decoder is as if it had had all before them, too. One borrows at most 511 octets of those before
# it (255 below 32 kHz), which at the lowest bitrates are 23 frames of 576 samples or 9 of 1152; a last one for the
# halves that overlap.
MEMORY = 25


class _Run:
    """Decoded frames of one form without a gap between them.

    Few are held at once, for a decoder keeps the memory of as many as were; they are joined as bytes, for numpy's own
    way, frame by frame, costs a quarter of decoding.
    """

    def __init__(self, form: tuple[int, int], *, gap: bool) -> None:
        self.form, self.gap = form, gap
        self._joined = [bytearray() for _ in range(form[1])]
        self._planes: list[AudioPlane | bytes] = []  # of the frames that are held, a channel after the other in each

    def add(self, sounds: Sequence[av.AudioFrame]) -> None:
        """What became of frames, at most `_MOST_HELD`."""
        for sound in sounds:
            self._planes += sound.planes
        self._hold()

    def silence(self, size: int) -> None:
        """In place of a frame of so many samples."""
        self._planes += [bytes(size * _FLOAT)] * self.form[1]
        self._hold()

    def _hold(self) -> None:
        if len(self._planes) >= _MOST_HELD * self.form[1]:
            for channel, joined in enumerate(self._joined):
                joined += b"".join(self._planes[channel :: len(self._joined)])
            self._planes.clear()

    def block(self) -> NDArray[np.float32]:
        """All of it."""
        channels = len(self._joined)
        parts = [part for at, joined in enumerate(self._joined) for part in (joined, *self._planes[at::channels])]
        return np.frombuffer(bytearray().join(parts), np.float32).reshape(channels, -1)


class Mp3Decoder:
    """Decodes frames of a song of `sample_rate` and `channels`. See `Decoder`.

    `skipped` is how many samples the song has before the first frame that will come, with `lead` as it was told then.
    """

    def __init__(self, sample_rate: int, channels: int, *, skipped: int = 0, lead: int = 0) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self.errors = 0
        # The decoder that FFmpeg takes itself; the one called "mp3" computes with integers, slower and less exactly.
        context = av.CodecContext.create("mp3float", "r")
        assert isinstance(context, av.AudioCodecContext), "MP3 is sound"
        self._context = context
        self._trim = Trim(lead)
        self._at = skipped  # samples decoded so far
        self._fresh = True  # no frame yet: the only place for an Info frame that speaks of this song
        self._form = sample_rate, channels  # of the last frame
        # What its header says of that; to read it anew for each costs more than all else around a frame.
        self._mark = 0, 0, 0
        self._size = 0  # samples of a frame of that mark
        self._past: deque[bytes] = deque(maxlen=MEMORY)  # the frames that the decoder has had
        self._torn = False  # something is missing before the next frame that sounds
        # The last frame was sound, of which a refused one is then the gap. Before the first there is nothing to tear:
        # a song that is taken up in the middle begins with frames whose past is not there.
        self._sounding = False
        self._gap = False  # the same, before the next sample that is given
        self._remix: Remix | None = None
        self._remixed = self._form  # what `_remix` converts from

    @property
    def lead(self) -> int:
        """Samples dropped at the song's start."""
        return self._trim.lead

    def decode(self, frames: Sequence[CodecFrame]) -> list[Sound]:
        """All samples of the frames, joined up to where sound is missing."""
        runs: list[_Run] = []
        at = 0
        while at < len(frames):
            # A packet of several costs an eighth less than as many packets.
            group = frames[at : at + self._alike(frames, at)]
            sounds = self._together(group) if len(group) > 1 else []
            if sounds:
                self._run(runs, gap=False).add(sounds)
                self._sounding = True
            else:
                for frame in group or frames[at : at + 1]:
                    self._one(frame, runs)
            at += len(group) or 1
        return self._given([sound for run in runs for sound in self._in_form(run)])

    def flush(self) -> list[Sound]:
        """What is held back while the song is at another rate than its first."""
        return self._given(self._rest())

    def _alike(self, frames: Sequence[CodecFrame], at: int) -> int:
        """How many frames from there on are of the form that is known, and follow what was decoded last."""
        count = 0
        for frame in frames[at : at + _MOST_HELD] if not self._torn else ():
            if frame.samples != self._size or frame.discontinuity or _mark(frame.data) != self._mark:
                break
            count += 1
        return count

    def _together(self, frames: Sequence[CodecFrame]) -> list[av.AudioFrame]:
        """The sound of alike frames, or none of it when one of them is refused: then it is as if none had come."""
        datas = [frame.data for frame in frames]
        try:
            sounds = self._context.decode(av.Packet(_BETWEEN.join(datas)))
        except av.FFmpegError:
            sounds = []
        if [sound.samples for sound in sounds] == [self._size] * len(frames):
            self._past += datas
            return sounds
        self._context.flush_buffers()
        for data in self._past:
            with suppress(av.FFmpegError):
                self._context.decode(av.Packet(data))
        return []

    def _one(self, frame: CodecFrame, runs: list[_Run]) -> None:
        """Decode a frame of any kind, as the next in these runs."""
        size = frame.samples
        self._torn = self._torn or frame.discontinuity
        if not size:
            if self._fresh:
                self._trim = trim(frame.data)
                self._fresh = False
            return
        self._fresh = False
        if self._torn:
            # What it remembers of frames before the gap would be mixed into the next one.
            self._context.flush_buffers()
            self._past.clear()
        sound = self._decoded(frame.data, size)
        run = self._run(runs, gap=self._torn or (sound is None and self._sounding))
        self._torn, self._sounding = False, sound is not None
        if sound is None:
            run.silence(size)
        else:
            run.add([sound])

    def _run(self, runs: list[_Run], *, gap: bool) -> _Run:
        """The run that goes on, or a new one."""
        if not runs or gap or runs[-1].form != self._form:
            runs.append(_Run(self._form, gap=gap))
        return runs[-1]

    def _decoded(self, data: bytes, size: int) -> av.AudioFrame | None:
        """The sound of a frame of so many samples, None if it has none; sets `_form`."""
        self._past.append(data)
        try:
            decoded = self._context.decode(av.Packet(data))
        except av.FFmpegError:
            decoded = []
        if not decoded or decoded[0].samples != size:
            self.errors += 1
            return None
        sound, mark = decoded[0], _mark(data)
        if mark != self._mark:
            # Of the first frame at a new rate the decoder still tells the old one.
            header = parse_header(data)
            self._form = header.kind.sample_rate if header else sound.sample_rate, sound.layout.nb_channels
            self._mark, self._size = mark, size
        return sound

    def _in_form(self, run: _Run) -> list[Sound]:
        """The run in the song's form, after what was left of another form."""
        block: Block = limited(run.block())
        sounds = self._rest() if run.gap or run.form != self._remixed else []
        if run.form != (self.sample_rate, self.channels):
            if self._remix is None:
                self._remix, self._remixed = Remix(*run.form, self.sample_rate, self.channels), run.form
            block = self._remix.feed(block)
        return [*sounds, Sound(block, run.gap)]

    def _rest(self) -> list[Sound]:
        if self._remix is None:
            return []
        remix, self._remix = self._remix, None
        self._remixed = self.sample_rate, self.channels
        return [Sound(remix.flush())]

    def _given(self, sounds: Sequence[Sound]) -> list[Sound]:
        """The sounds without what is no song; a gap in what is dropped is one before what follows."""
        kept = []
        for sound in sounds:
            self._gap = self._gap or sound.discontinuity
            for block in self._song(sound.block):
                kept.append(Sound(block, self._gap))
                self._gap = False
        return kept

    def _song(self, block: Block) -> list[Block]:
        start, size = self._at, block.shape[1]
        self._at += size
        lead, end, stop = self._trim.lead, self._trim.end, self._trim.stop
        if start >= lead and (end is None or stop is None or start + size <= end or start >= stop):
            return [block] if size else []
        spans = [(lead, start + size)] if end is None or stop is None else [(lead, end), (stop, start + size)]
        pieces = [block[:, max(first - start, 0) : max(last - start, 0)] for first, last in spans]
        return [piece for piece in pieces if piece.shape[1]]


def _mark(data: bytes) -> tuple[int, int, int]:
    """What in a frame's header tells its form."""
    return data[1], data[2] & 0x0C, data[3] & 0xC0
