"""Songs for the codec room's tests, encoded once a session by PyAV: every kind of MP3 a provider may send.

Invariant: the same bytes in every run on one machine; seconds of sound, not minutes. Tests that need damage do it
themselves to a copy. What is here knows nothing of the code under test.
"""

import io
import random
from collections.abc import Mapping

import av
import numpy as np
import pytest

SECONDS = 2


def encode(sample_rate: int, channels: int, bitrate: int | None, **muxer: str) -> bytes:
    """An MP3 file of a warbling tone with bursts of noise; without a bitrate it is VBR."""
    layout = "mono" if channels == 1 else "stereo"
    time = np.arange(sample_rate * SECONDS) / sample_rate
    noise = np.random.default_rng(1).standard_normal(len(time)) * 2000 * (np.sin(7 * time) > 0)
    sound = (np.sin(2 * np.pi * 440 * time) * 4000 * (1 + np.sin(3 * time)) + noise).astype("<i2")
    frame = av.AudioFrame.from_ndarray(np.repeat(sound, channels).reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = sample_rate
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options=muxer) as container:
        quality = {} if bitrate else {"flags": "+qscale", "global_quality": "236"}
        stream = container.add_stream("libmp3lame", rate=sample_rate, options=quality)
        stream.codec_context.layout = layout
        stream.codec_context.format = "s16p"
        if bitrate:
            stream.bit_rate = bitrate
        container.metadata["title"] = "test"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def cover_art() -> bytes:
    """An ID3v2.4 tag of 300 KB whose picture is full of what looks like frame headers."""
    picture = b"\xff\xfb\x90\x64" + random.Random(5).randbytes(300_000) + b"\xff\xfb\xb0\x00" * 200
    frame = b"APIC" + syncsafe(len(picture)) + b"\0\0" + picture
    return b"ID3\x04\0\0" + syncsafe(len(frame)) + frame


def syncsafe(number: int) -> bytes:
    """A length as ID3v2 writes it: four octets of seven bits."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


@pytest.fixture(scope="session")
def songs() -> Mapping[str, bytes]:
    """MP3 files by name; all but `bare` and `cover` begin with an ID3v2 tag and an Info frame."""
    bare = encode(44100, 2, 192000, id3v2_version="0", write_xing="0")
    return {
        "bare": bare,
        "cbr128": encode(44100, 2, 128000),
        "cbr192": encode(44100, 2, 192000),
        "cbr320": encode(48000, 2, 320000),
        "vbr": encode(44100, 2, None),
        "mono24k": encode(24000, 1, 64000),
        "mono16k": encode(16000, 1, 32000),
        "mono8k": encode(8000, 1, 16000),
        "id3v1": encode(44100, 2, 128000, write_id3v1="1"),
        "cover": cover_art() + bare,
    }
