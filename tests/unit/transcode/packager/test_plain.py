"""Tests of what needs no container: MP3, PCM, WAV and FLAC.

Invariant under test: the packets' bytes, joined, behind a header that decoders take.
Golden truth is a decode by PyAV: lossless formats give back the samples to the bit.
"""

import io
import subprocess
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.packets import read
from tests.unit.transcode.packager.encodes import encode, heard, pack, run
from transcode.errors import EncodeError
from transcode.framer import Framer
from transcode.packager.plain import PlainPackager, flac_init, wav_init
from transcode.packet import Packet
from transcode.wavheader import ENDLESS, wav_header


@pytest.mark.parametrize("form", ["mp3", "pcm"])
def test_packets_as_they_are(form: str) -> None:
    """No init, no byte between them; several codec units in one packet are as good."""
    song = encode(form)
    data = b"".join(packet.data for packet in song.packets)
    assert pack(form, song, 7).stream() == data
    assert PlainPackager().pack([Packet(data, 0, song.samples)], last=True) == data


@pytest.mark.parametrize(("sample_rate", "channels"), [(48000, 2), (44100, 1), (8000, 2)])
def test_lossless(need: Callable[[str], str], sample_rate: int, channels: int) -> None:
    """WAV and FLAC: every sample, as PyAV and ffmpeg hear them."""
    samples = sample_rate + 321
    pcm = pack("pcm", encode("pcm", sample_rate, channels, samples)).stream()
    original = np.frombuffer(pcm, "<i2").reshape(-1, channels).T / np.float32(32768)
    for form, codec in (("wav", "pcm"), ("flac", "flac")):
        stream = pack(form, encode(codec, sample_rate, channels, samples)).stream()
        assert np.array_equal(heard(stream, form), original)
        assert run([need("ffmpeg"), "-v", "error", "-i", "-", "-f", "s16le", "-"], stream) == (pcm, "")


def test_the_header_of_a_wav(need: Callable[[str], str], tmp_path: Path) -> None:
    """Its lengths are not known yet: what stands there is longer than any song, whole samples, and no warning's cause.

    Whoever reads it has all samples that follow.
    """
    song = encode("pcm", 44100, 1, 5000)
    config = song.config
    assert wav_init(config) == wav_header(44100, 1, ENDLESS)
    assert ENDLESS % 4 == 0
    path = tmp_path / "song.wav"
    path.write_bytes(file := pack("wav", song, 7).stream())
    probe = [need("ffprobe"), "-v", "warning", "-show_entries", "stream=duration", "-of", "csv=p=0", str(path)]
    said = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=True)
    assert float(said.stdout) == pytest.approx(5000 / 44100, abs=1e-4)
    # That it estimates, and that a short file ends within what it reads at once, it says whatever stands there.
    known = ("Estimating duration", "Packet corrupt")
    assert [line for line in said.stderr.splitlines() if not any(words in line for words in known)] == []
    pcm = b"".join(packet.data for packet in song.packets)
    with wave.open(io.BytesIO(file)) as opened:
        assert opened.readframes(1 << 20) == pcm
    framer = Framer()
    assert b"".join(frame.data for frame in framer.feed(file) + framer.flush()) == pcm
    assert np.array_equal(read(file, "wav")[0] * 32768, np.frombuffer(pcm, "<i2"))
    with pytest.raises(EncodeError):
        wav_init(replace(config, spec=replace(config.spec, channels=70_000)))


def test_the_header_of_a_flac() -> None:
    """The marker and one block, the last, with a STREAMINFO that promises no length and no MD5."""
    config = encode("flac").config
    assert flac_init(config) == b"fLaC\x80\0\0\x22" + config.extradata
    with pytest.raises(EncodeError, match="34 bytes, not 33"):
        flac_init(replace(config, extradata=config.extradata[:33]))
