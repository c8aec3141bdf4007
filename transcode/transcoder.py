"""One song from the provider's bytes to the packets of another codec: the only door that a worker needs.

Invariant: the packets depend on the song's bytes, never on how they were sliced; they lie on one grid, wherever in the
song the work began, and durations less paddings are the delay and the song's length, to the sample.
It must not know containers, nor who feeds it or why.
"""

from msgspec.structs import replace

from transcode.decoder import Decoder, decoder
from transcode.encoder import grid
from transcode.errors import EncodeError
from transcode.formats import CodecFrame, StreamFormat
from transcode.framer import Framer
from transcode.line import Line, stride
from transcode.mp3decoder import MEMORY
from transcode.packet import CodecConfig, Packet, Resume
from transcode.rawframer import RawFramer
from transcode.spec import EncoderSpec

_DECODER_MEMORY = MEMORY * 576  # samples: short frames can be that many, of long ones fewer suffice
_FILTER_REACH = 64  # samples of the slower rate that a resampler looks back, generously
_LOUDNESS_SECONDS = 20  # of the song that a gain is chosen by; less, and it may differ by half a decibel


class Transcoder:
    """Makes `spec` of one song: an MP3 or a WAV, told by its first bytes, or raw s16le PCM when `pcm` says so.

    With `resume` its bytes begin in the middle: those of an MP3 at a frame (its Info frame may stand before it, by
    which the padding at the end is known), those of a WAV with its header before them. All methods but `close` raise
    `UnknownFormat` and `EncodeError`.
    """

    def __init__(self, spec: EncoderSpec, *, pcm: StreamFormat | None = None, resume: Resume | None = None) -> None:
        self._spec, self._pcm, self._resume = spec, pcm, resume
        self._framer: Framer | RawFramer = Framer() if pcm is None else RawFramer(pcm)
        self._decoder: Decoder | None = None
        self._line: Line | None = None
        self._gap = False  # sound is missing before the next frame
        self._ended = False
        self.config: CodecConfig | None = None
        self.errors = 0
        self.lead = resume.lead if resume else 0
        self.rewind = 0  # as `Encoded` has it

    def feed(self, data: bytes, *, discontinuity: bool = False) -> list[Packet]:
        """Take a slice of any size, give the packets that it completes.

        `discontinuity` tells that sound is missing right before it.
        """
        if self._ended:
            raise EncodeError("the transcoder was flushed or closed and takes no more")
        if discontinuity:
            self._gap = True
            if self._pcm is not None:
                self._framer = RawFramer(self._pcm)  # a half sample before the gap is none
        return self._advanced(self._framer.feed(data))

    def flush(self) -> list[Packet]:
        """The song is over: give the rest. A second call gives nothing, as does one after `close`."""
        if self._ended:
            return []
        packets = self._advanced(self._framer.flush())
        if self._decoder is not None:
            packets += self._encoded(self._decoder, last=True)
        self.close()
        return packets

    def close(self) -> None:
        """It is needed no more; a second call does nothing."""
        self._ended = True
        self._decoder = self._line = None

    def _advanced(self, frames: list[CodecFrame]) -> list[Packet]:
        if not frames:
            return []
        if self._decoder is None:
            self._decoder = self._opened()
        if self._gap:
            at = next((at for at, frame in enumerate(frames) if frame.samples), None)
            if at is not None:
                frames[at] = replace(frames[at], discontinuity=True)
                self._gap = False
        return self._encoded(self._decoder, frames)

    def _opened(self) -> Decoder:
        form, codec, resume = self._framer.format, self._framer.codec, self._resume
        assert form is not None, "a framer knows it with its first frame"
        assert codec is not None, "as the form"
        if resume is None:
            return decoder(codec, form.sample_rate, form.channels)
        return decoder(codec, form.sample_rate, form.channels, skipped=resume.skipped, lead=resume.lead)

    def _encoded(self, source: Decoder, frames: list[CodecFrame] | None = None, *, last: bool = False) -> list[Packet]:
        sounds = source.flush() if frames is None else source.decode(frames)
        self.errors, self.lead = source.errors, source.lead
        if sounds and self._line is None:
            self._line = self._started(source)
            self.config = self._line.config
        if self._line is None:
            return []
        packets = self._line.feed(sounds)
        if last:
            packets += self._line.flush()
        if packets:
            at = packets[-1].pts + packets[-1].duration
            self.rewind = rewind(self._spec, at, source.sample_rate, source.lead)
        return packets

    def _started(self, source: Decoder) -> Line:
        if self._resume is None:
            return Line(self._spec, source.sample_rate, source.channels)
        position = max(self._resume.skipped - source.lead, 0)
        return Line(self._spec, source.sample_rate, source.channels, position=position, at=self._resume.at)


def rewind(spec: EncoderSpec, at: int, song_rate: int, lead: int) -> int:
    """The sample of a song, counted from its first frame, from which (or from before which) a `Transcoder` must be fed
    so that its packets from `at` on are as they would have been.

    That takes what a decoder remembers, what a resampler sees, and some packets until the encoder has forgotten that it
    began. `song_rate` in Hz; `lead` as `Transcoder.lead` told.
    """
    cells = grid(spec)
    start = (at + cells.delay) // cells.frame - cells.warmup
    first = start * cells.frame * song_rate // spec.sample_rate
    if song_rate != spec.sample_rate:
        first -= _FILTER_REACH * max(1, -(-song_rate // spec.sample_rate))
    if spec.loudness is not None:
        first -= _LOUDNESS_SECONDS * song_rate
    first -= first % stride(spec, song_rate)
    return max(first + lead - _DECODER_MEMORY, 0)
