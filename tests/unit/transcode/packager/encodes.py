"""Songs as an encoder gives them, for the tests of packagers, and what a decoder makes of a container.

Invariant: the packets are real, made by PyAV's encoders; their times and padding follow `Packet` to the letter. The
song is a tone that rises, with a little noise, so that no two of its moments sound the same.
What is here knows of the code under test the door and the nouns, no container.
"""

import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from transcode.formats import FORMATS
from transcode.packager.door import Packager, packager
from transcode.packet import CodecConfig, Packet
from transcode.spec import EncoderSpec

# Codec: PyAV's name, sample format, options. FLAC of level 2, and MP3 without a reservoir, as the live path has them.
# AAC without the noise that a decoder makes up: it is another one each time.
_ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "opus": ("libopus", "s16", {}),
    "aac": ("aac", "fltp", {"aac_pns": "0"}),
    "flac": ("flac", "s16", {"compression_level": "2"}),
    "mp3": ("libmp3lame", "s16p", {"reservoir": "0"}),
}
TIMEOUT = 30.0  # seconds for a program


@dataclass(frozen=True)
class Encode:
    """One song: `samples` a channel at the config's rate, and all packets of it."""

    config: CodecConfig
    packets: tuple[Packet, ...]
    samples: int

    def chunks(self, size: int) -> list[tuple[Packet, ...]]:
        """Its packets, `size` at a time."""
        return [self.packets[at : at + size] for at in range(0, len(self.packets), size)]


@cache
def encode(codec: str, sample_rate: int = 48000, channels: int = 2, samples: int = 96_123) -> Encode:
    """A song of so many samples. Empty packets are kept where an encoder makes some."""
    spec = EncoderSpec(codec, sample_rate, channels, None if codec in ("pcm", "flac") else 64000)
    sound = _sound(sample_rate, channels, samples)
    if codec == "pcm":
        step = sample_rate // 50
        pieces = [sound[at : at + step] for at in range(0, samples, step)]
        packets = tuple(Packet(piece.tobytes(), at * step, len(piece)) for at, piece in enumerate(pieces))
        return Encode(CodecConfig(spec), packets, samples)
    name, form, options = _ENCODERS[codec]
    layout = "mono" if channels == 1 else "stereo"
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = sample_rate, layout, form
    context.time_base, context.options = Fraction(1, sample_rate), options
    if spec.bitrate:
        context.bit_rate = spec.bitrate
    context.open()
    frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, context.time_base
    made = [*context.encode(frame), *context.encode(None)]
    delay = -(made[0].pts or 0)
    extradata = bytes(context.extradata or b"")
    if codec == "flac":
        extradata = extradata[:13] + bytes((extradata[13] & 0xF0,)) + bytes(20)  # no length, no MD5
    length = 0 if codec == "flac" else context.frame_size
    packets = tuple(_packet(one, length, samples) for one in made)
    return Encode(CodecConfig(spec, delay, extradata), packets, samples)


def _packet(packet: Any, length: int, samples: int) -> Packet:
    """`length` is how long every packet of this codec lasts, the last one filled up; 0 where the last is shorter."""
    pts, duration = packet.pts or 0, length or packet.duration or 0
    return Packet(bytes(packet), pts, duration, max(0, pts + duration - samples))


def _sound(sample_rate: int, channels: int, samples: int) -> NDArray[np.int16]:
    """Interleaved, shape (samples, channels)."""
    time = np.arange(samples)[:, None] / sample_rate
    tone = 8000 * np.sin(2 * np.pi * (440 + 110 * np.arange(channels)) * time * (1 + time / 10))
    noise = 300 * np.random.default_rng(7).standard_normal((samples, channels))
    return (tone + noise).astype("<i2")


@dataclass(frozen=True)
class Packed:
    """A song in a container, chunk by chunk."""

    init: bytes
    chunks: tuple[bytes, ...]

    def stream(self, begin: int = 0) -> bytes:
        """What a listener gets who joins at chunk `begin`."""
        return self.init + b"".join(self.chunks[begin:])


def pack(form: str, song: Encode, size: int = 10) -> Packed:
    """The song in the format of that name, so many packets a chunk."""
    packer: Packager = packager(FORMATS[form], song.config)
    chunks = song.chunks(size)
    return Packed(packer.init, tuple(packer.pack(chunk, last=chunk is chunks[-1]) for chunk in chunks))


def heard(stream: bytes, form: str) -> NDArray[np.float32]:
    """What PyAV makes of a stream of the format `form`: shape (channels, samples), full scale 1. PCM is stereo."""
    if form == "pcm":
        return (np.frombuffer(stream, "<i2").reshape(-1, 2).T / 32768).astype(np.float32)
    with av.open(io.BytesIO(stream), "r", format=form) as container:
        blocks = []
        for frame in container.decode(audio=0):
            block = frame.to_ndarray()
            if not frame.format.is_planar:
                block = block.reshape(-1, len(frame.layout.channels)).T
            blocks.append(block / 32768 if block.dtype == np.int16 else block)
        return np.concatenate(blocks, axis=1).astype(np.float32)


def run(command: Sequence[str], stream: bytes) -> tuple[bytes, str]:
    """A program that is given a stream on its standard input: what it put out and what it complained of."""
    done = subprocess.run(command, input=stream, capture_output=True, timeout=TIMEOUT, check=True)
    return done.stdout, done.stderr.decode()
