"""What the bytes of a song are: coding, head, bitrates, where its frames end; and how two copies of it differ.

Invariant: pure, and bytes that are no song are a finding, not an error. Offsets are bytes from the beginning of what
was given, `seconds` are those of whole frames. It must not know how the bytes came.
"""

import re
import struct
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from transcode.errors import UnknownFormat
from transcode.framer import Framer
from transcode.mp3header import parse_header
from transcode.tags import TAG_HEAD, tag_length
from transcode.wavheader import MAX_HEADER, WavHeader

_ENCODER = re.compile(rb"(?:LAME|Lav[cf])[\w. ]{0,8}")
_BLOCK = 1 << 16
_PLACEHOLDERS = (0xFFFFFFFF, 0x7FFFFFFF)


@dataclass(frozen=True, slots=True)
class Wav:
    """The header of a WAV. Sizes are bytes: what it declares, and `found`, the samples that came."""

    header: int
    magic: str
    riff: int
    data: int
    found: int
    chunks: tuple[str, ...]

    @property
    def form(self) -> str:
        """In words: whether the declared length of the samples can be believed."""
        if self.data == self.found:
            return "the declared size is true"
        if self.data == 0:
            return "the declared size is 0"
        # A placeholder for the whole file leaves the header's length less for the samples.
        if any(0 <= mark - self.data <= _BLOCK for mark in _PLACEHOLDERS):
            return f"the declared size is a placeholder ({self.data:#010x})"
        return "the declared size is wrong"


@dataclass(frozen=True, slots=True)
class Sound:
    """What a song is. `start` is the offset of the first frame, `sounding` that of the first one that is no index.

    `bitrates` counts frames by bit/s (mp3); `tag` is the length of the ID3v2 tag in front; `index` the kind of the
    encoder's index frame. `between` counts bytes between frames that belong to none, `after` those behind the last.
    `ends` and `samples` (the total up to there) have an entry a frame.
    """

    codec: str | None = None
    sample_rate: int = 0
    channels: int = 0
    seconds: float = 0.0
    bitrate: int | None = None
    bitrates: dict[int, int] = field(default_factory=dict)
    start: int = 0
    sounding: int = 0
    tag: int = 0
    index: str | None = None
    encoder: str | None = None
    between: int = 0
    after: int = 0
    wav: Wav | None = None
    block: int = 1
    ends: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()

    def seconds_at(self, offset: int) -> float:
        """Seconds of sound in whole frames up to there."""
        frames = bisect_right(self.ends, offset)
        return self.samples[frames - 1] / self.sample_rate if frames else 0.0

    def on_border(self, offset: int) -> bool:
        """Whether a frame ends there (mp3), or a sample of all channels (wav); the head's end counts."""
        if self.wav is not None:
            return offset >= self.start and (offset - self.start) % self.block == 0
        frames = bisect_right(self.ends, offset)
        return offset == self.start or (frames > 0 and self.ends[frames - 1] == offset)


def examine(audio: bytes) -> Sound:
    """What these bytes are; a Sound without a codec when they are neither MP3 nor WAV."""
    framer = Framer()
    try:
        frames = framer.feed(audio) + framer.flush()
    except UnknownFormat:
        return Sound()
    if framer.format is None or not frames:
        return Sound()
    mp3 = framer.codec == "mp3"
    at = start = audio.find(frames[0].data, len(framer.init))
    ends, samples, bitrates = [], [], Counter[int]()
    total = between = 0
    for frame in frames:
        begin = audio.find(frame.data, at)
        between += begin - at
        at = begin + len(frame.data)
        total += frame.samples
        ends.append(at)
        samples.append(total)
        if mp3 and frame.samples and (header := parse_header(frame.data)) is not None:
            bitrates[header.bitrate] += 1
    rate = framer.format.sample_rate
    indexed = mp3 and frames[0].samples == 0
    sounding = ends[0] if indexed else start
    seconds = total / rate
    wav = None if mp3 else _wav(audio[:MAX_HEADER], at - start)
    return Sound(
        codec=framer.codec,
        sample_rate=rate,
        channels=framer.format.channels,
        seconds=seconds,
        bitrate=round((at - sounding - between) * 8 / seconds) if seconds else None,
        bitrates=dict(sorted(bitrates.items())),
        start=start,
        sounding=sounding,
        tag=(tag_length(audio[:TAG_HEAD]) or 0) if mp3 else 0,
        index=_index(frames[0].data) if indexed else None,
        encoder=_encoder(frames[0].data) if indexed else None,
        between=between,
        after=len(audio) - at,
        wav=wav,
        block=len(frames[0].data) // frames[0].samples if wav else 1,
        ends=tuple(ends),
        samples=tuple(samples),
    )


def _index(frame: bytes) -> str:
    return next((mark.decode() for mark in (b"Xing", b"Info", b"VBRI") if mark in frame[:64]), "unknown")


def _encoder(frame: bytes) -> str | None:
    match = _ENCODER.search(frame)
    return match[0].decode().strip() if match else None


def _wav(head: bytes, found: int) -> Wav:
    header = WavHeader()
    header.feed(head)
    chunks, at = [], 12
    while at + 8 <= len(header.init):
        name, size = struct.unpack_from("<4sI", header.init, at)
        chunks.append(name.decode("ascii", "replace").strip())
        at += 8 + size + size % 2
    magic = header.init[:4].decode()
    riff = int.from_bytes(header.init[4:8], "little")
    # An RF64 tells the length elsewhere; what a RIFF says goes into the report as it stands.
    data = header.declared if magic == "RF64" else int.from_bytes(header.init[-4:], "little")
    return Wav(len(header.init), magic, riff, data, found, tuple(chunks))


# -- two copies --------------------------------------------------------------------------------------------------------

Verdict = Literal["identical", "same frames", "same sound", "one goes on", "different"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the file compares with the joined slices.

    `same frames` is from the first frame on, `same sound` from the first frame that is no index. `at` is the offset in
    the slices where they part, `seconds` the sound before it, `more` the bytes that the file goes on for (or lacks).
    """

    verdict: Verdict
    at: int | None = None
    seconds: float | None = None
    more: int = 0


def compare(slices: bytes, sound: Sound, file: bytes) -> Comparison:
    """Where the file differs from the joined slices, which `sound` describes."""
    if slices == file:
        return Comparison("identical")
    other = examine(file)
    if sound.codec is None or other.codec is None:
        common = _common(slices, file)
        return Comparison("different", common, None, len(file) - len(slices))
    if slices[sound.start :] == file[other.start :]:
        return Comparison("same frames")
    left, right = slices[sound.sounding :], file[other.sounding :]
    if left == right:
        return Comparison("same sound")
    common = _common(left, right)
    at = sound.sounding + common
    whole = common in (len(left), len(right))
    return Comparison("one goes on" if whole else "different", at, sound.seconds_at(at), len(right) - len(left))


def _common(left: bytes, right: bytes) -> int:
    """The length of the common beginning."""
    at, end = 0, min(len(left), len(right))
    while at < end and left[at : at + _BLOCK] == right[at : at + _BLOCK]:
        at += _BLOCK
    while at < end and left[at] == right[at]:
        at += 1
    return min(at, end)
