"""The formats Wavegate speaks, one row each: the extension, codec and container names, and MIME types.

Invariant: `mime` is the exact string a browser's MediaSource takes where it takes the format at all; `content_type`
is what the HTTP door sends. Rates, channels and bitrates belong to a `StreamFormat`: what one song really has.
"""

from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table. `codec` is mp3, pcm (signed 16-bit where it was made here), opus, aac or flac; `container` is
    True when listeners need an init chunk before any audio.
    """

    name: str
    codec: str
    mime: str
    content_type: str
    container: bool


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What one rendition really is: rate in Hz, 1 or 2 channels, `bitrate` in bit/s (of its first frame)."""

    format: Format
    sample_rate: int
    channels: int
    bitrate: int | None


MP3 = Format("mp3", "mp3", "audio/mpeg", "audio/mpeg", container=False)
WAV = Format("wav", "pcm", "audio/wav", "audio/wav", container=True)
PCM = Format("pcm", "pcm", "audio/L16", "audio/L16", container=False)
OGG = Format("ogg", "opus", 'audio/ogg; codecs="opus"', "audio/ogg", container=True)
WEBM = Format("webm", "opus", 'audio/webm; codecs="opus"', "audio/webm", container=True)
AAC = Format("aac", "aac", "audio/aac", "audio/aac", container=False)
MP4 = Format("mp4", "aac", 'audio/mp4; codecs="mp4a.40.2"', "audio/mp4", container=True)
FLAC = Format("flac", "flac", "audio/flac", "audio/flac", container=True)

FORMATS: dict[str, Format] = {row.name: row for row in (MP3, WAV, PCM, OGG, WEBM, AAC, MP4, FLAC)}
"""Every format that can be heard, by the name that is its extension, too."""


# Forty of them are made for each second of a song; a frozen dataclass takes ten times as long.
class CodecFrame(Struct, frozen=True, gc=False):
    """What a framer cuts out: one whole frame of the provider's own bytes.

    `samples` is its length at the stream's rate, per channel; 0 for a frame that carries no sound. `discontinuity` says
    that bytes were lost or the coding changed right before it, so that a decoder's memory of the past is worth nothing.
    """

    data: bytes
    samples: int
    discontinuity: bool = False
