"""Songs of which every sample is known, and what is heard of packets: for the tests of encoders and transcoders.

Invariant: decoding is FFmpeg's, from the packets and their config alone, as a player would; the delay that a config
declares and the padding that packets declare are gone from what is heard. Sound is float, (channels, samples).
It must not know how packets were made.
"""

import io
import struct
from collections.abc import Sequence

import av
import numpy as np
from numpy.typing import NDArray

from transcode.packet import CodecConfig, Packet

Sound = NDArray[np.float64]

_DECODERS = {"opus": "libopus", "aac": "aac", "mp3": "mp3float", "flac": "flac"}


def melody(rate: int, channels: int, seconds: float) -> Sound:
    """Chords that swell and move, the right channel unlike the left; below 3 kHz, so that any rate can hold it."""
    time = np.arange(round(rate * seconds)) / rate
    sides = []
    for side in range(channels):
        voices = [
            np.sin(2 * np.pi * hertz * time + side + 1 + 3 * np.sin(0.7 * time))
            * (1 + np.sin((2 + side) * time + hertz))
            for hertz in (220, 277.2, 329.6, 660, 1318.5)
        ]
        sides.append(np.sum(voices, axis=0))
    # Five voices of at most 2 each.
    sound: Sound = np.stack(sides) * 0.09
    return sound


def s16(sound: Sound) -> bytes:
    """Signed 16-bit little-endian, interleaved."""
    return (sound.T * 32767).round().astype("<i2").tobytes()


def wav(sound: Sound, rate: int, coding: str = "s16", *, size: int | None = None) -> bytes:
    """A WAV file; `coding` is u8, s16, s24, s32, f32 or extensible, and `size` a lie about its length."""
    channels = len(sound)
    flat = sound.T.reshape(-1)
    if coding == "u8":
        data, number, bits = (flat * 127 + 128).round().astype(np.uint8).tobytes(), 1, 8
    elif coding == "s24":
        wide = (flat * (2**23 - 1)).round().astype("<i4").view(np.uint8).reshape(-1, 4)
        data, number, bits = wide[:, :3].tobytes(), 1, 24
    elif coding == "s32":
        data, number, bits = (flat * (2**31 - 1)).round().astype("<i4").tobytes(), 1, 32
    elif coding == "f32":
        data, number, bits = flat.astype("<f4").tobytes(), 3, 32
    else:
        data, number, bits = s16(sound), 1, 16
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", number, channels, rate, rate * block, block, bits)
    if coding == "extensible":
        guid = bytes.fromhex("0100000000001000800000aa00389b71")
        form = b"\xfe\xff" + form[2:] + struct.pack("<HHI", 22, 16, 3) + guid
    size = len(data) if size is None else size
    riff = min(size + 20 + len(form), 0xFFFFFFFF)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", riff, b"WAVE", b"fmt ", len(form))
        + form
        + b"data"
        + size.to_bytes(4, "little")
        + data
    )


def read(file: bytes, form: str) -> Sound:
    """All that PyAV hears in a whole file."""
    with av.open(io.BytesIO(file), "r", format=form) as container:
        blocks = [_floats(frame) for frame in container.decode(audio=0)]
    return np.concatenate(blocks, axis=1)


def heard(packets: Sequence[Packet], config: CodecConfig) -> Sound:
    """All that the packets sound like, at the config's rate, from the song's first sample to its last."""
    spec = config.spec
    if spec.codec == "pcm":
        return np.frombuffer(b"".join(p.data for p in packets), "<i2").reshape(-1, spec.channels).T / 32768
    context = av.CodecContext.create(_DECODERS[spec.codec], "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate = spec.sample_rate
    context.layout = "mono" if spec.channels == 1 else "stereo"
    if config.extradata:
        context.extradata = config.extradata
    decoded = [[_floats(frame) for frame in context.decode(av.Packet(packet.data))] for packet in packets]
    sound = np.concatenate([block for blocks in decoded for block in blocks], axis=1)
    if spec.codec == "opus":
        # It decodes at 48 kHz, and drops the pre-skip by itself.
        step = 48000 // spec.sample_rate
        assert sound.shape[1] == sum(p.duration for p in packets) * step - config.delay * step
        sound = sound[:, ::step]
    else:
        assert sound.shape[1] == sum(p.duration for p in packets)
        sound = sound[:, config.delay :]
    padding = sum(p.padding for p in packets)
    return sound[:, : sound.shape[1] - padding]


def likeness(left: Sound, right: Sound) -> float:
    """The correlation of two sounds, of their first channels."""
    size = min(left.shape[1], right.shape[1])
    return float(np.corrcoef(left[0, :size], right[0, :size])[0, 1])


def _floats(frame: av.AudioFrame) -> Sound:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    scale = {"i2": 1 << 15, "i4": 1 << 31}.get(samples.dtype.str[1:], 1)
    floats: Sound = samples.astype(np.float64) / scale
    return floats
