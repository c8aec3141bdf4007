"""Tests of taking an encode up again where it broke off.

Invariant under test: packets from there on lie on the first encode's grid and sound as they would have; exactly where
nothing is lossy, else as near to the song as before. Golden truth is the encode that never broke off.
"""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.support.packets import heard, melody, s16, wav
from transcode.encoder import grid
from transcode.errors import EncodeError
from transcode.formats import PCM, StreamFormat
from transcode.framer import Framer
from transcode.packet import CodecConfig, Packet, Resume
from transcode.spec import EncoderSpec
from transcode.transcoder import Transcoder, rewind

EXACT = [
    EncoderSpec("pcm", 44100, 2, None),
    EncoderSpec("pcm", 24000, 1, None),
    EncoderSpec("flac", 44100, 2, None),
    EncoderSpec("flac", 48000, 1, None),
]
LOSSY = [
    EncoderSpec("opus", 48000, 2, 96000),
    EncoderSpec("aac", 44100, 2, 128000),
    EncoderSpec("mp3", 44100, 2, 128000),
    EncoderSpec("mp3", 24000, 1, 48000),
]


def run(data: bytes, spec: EncoderSpec, resume: Resume | None = None) -> tuple[list[Packet], Transcoder]:
    transcoder = Transcoder(spec, resume=resume)
    packets = [p for at in range(0, len(data), 6000) for p in transcoder.feed(data[at : at + 6000])]
    return packets + transcoder.flush(), transcoder


def taken_up(song: bytes, spec: EncoderSpec, at: int, lead: int) -> list[Packet]:
    """The packets from `at` on, made from the song's frames from where `rewind` says."""
    framer = Framer()
    frames = framer.feed(song) + framer.flush()
    assert framer.format is not None
    wanted, skipped, head = rewind(spec, at, framer.format.sample_rate, lead), 0, framer.init
    rest = []
    for frame in frames:
        if not frame.samples:
            head += frame.data
        elif skipped + frame.samples <= wanted and not rest:
            skipped += frame.samples
        else:
            rest.append(frame.data)
    return run(head + b"".join(rest), spec, Resume(at, skipped, lead))[0]


@pytest.fixture(scope="module")
def sources(songs: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Songs by name."""
    return {
        "tagged": songs["cbr192"],
        "bare": songs["bare"],
        "vbr": songs["vbr"],
        "wav": wav(melody(44100, 2, 2.0), 44100),
    }


@pytest.mark.parametrize("spec", EXACT, ids=lambda spec: f"{spec.codec}{spec.sample_rate}")
@pytest.mark.parametrize("source", ["tagged", "bare", "vbr", "wav"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.7])
def test_nothing_tells_where_it_was_taken_up(
    sources: Mapping[str, bytes], spec: EncoderSpec, source: str, part: float
) -> None:
    """Not a byte."""
    whole, first = run(sources[source], spec)
    number = int(len(whole) * part)
    rest = taken_up(sources[source], spec, whole[number].pts, first.lead)
    assert rest[0].pts == whole[number].pts
    assert b"".join(p.data for p in rest) == b"".join(p.data for p in whole[number:])
    assert rest[-1].pts + rest[-1].duration == whole[-1].pts + whole[-1].duration
    assert not any(packet.discontinuity for packet in rest)


@pytest.mark.parametrize("spec", LOSSY, ids=lambda spec: f"{spec.codec}{spec.sample_rate}")
@pytest.mark.parametrize("source", ["tagged", "vbr", "wav"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.8])
def test_the_seam_is_not_heard(sources: Mapping[str, bytes], spec: EncoderSpec, source: str, part: float) -> None:
    """Around it, and from there on, the sound is hardly farther from the song than that of the unbroken encode."""
    whole, first = run(sources[source], spec)
    number = int(len(whole) * part)
    at = whole[number].pts
    rest = taken_up(sources[source], spec, at, first.lead)
    assert [(p.pts, p.duration, p.padding) for p in rest] == [(p.pts, p.duration, p.padding) for p in whole[number:]]
    config = first.config
    assert config is not None
    unbroken, spliced = heard(whole, config), heard([*whole[:number], *rest], config)
    truth = heard(run(sources[source], EncoderSpec("flac", spec.sample_rate, spec.channels, None))[0], _flat(spec))
    seam = max(at, 0) // grid(spec).frame
    before, after = (_errors(sound - truth, grid(spec).frame)[seam : seam + 8] for sound in (unbroken, spliced))
    power = float(np.mean(truth**2))
    assert (after <= 3 * before + 0.003 * power).all()


def _flat(spec: EncoderSpec) -> CodecConfig:
    transcoder = Transcoder(EncoderSpec("flac", spec.sample_rate, spec.channels, None))
    transcoder.feed(wav(melody(spec.sample_rate, spec.channels, 0.1), spec.sample_rate))
    assert transcoder.config is not None
    return transcoder.config


def _errors(wrong: np.ndarray, frame: int) -> np.ndarray:
    """The mean square of each frame's."""
    whole = wrong[:, : wrong.shape[1] // frame * frame]
    return np.mean(whole.reshape(len(wrong), -1, frame) ** 2, axis=(0, 2))


def test_raw_pcm_is_taken_up() -> None:
    """It has no head that would have to be told again."""
    form, spec = StreamFormat(PCM, 24000, 1, None), EncoderSpec("flac", 48000, 1, None)
    pcm = s16(melody(24000, 1, 1.0))
    first = Transcoder(spec, pcm=form)
    whole = first.feed(pcm) + first.flush()
    skipped = rewind(spec, whole[30].pts, 24000, 0)
    later = Transcoder(spec, pcm=form, resume=Resume(whole[30].pts, skipped, 0))
    assert later.feed(pcm[2 * skipped :]) + later.flush() == whole[30:]


def test_rewind_goes_back_far_enough_and_not_before_the_start() -> None:
    """More for what remembers more; at the start it is the start."""
    pcm, opus = EncoderSpec("pcm", 44100, 2, None), EncoderSpec("opus", 48000, 2, 96000)
    level = EncoderSpec("opus", 48000, 2, 96000, -14.0)
    assert rewind(pcm, 0, 44100, 1105) == rewind(opus, -312, 44100, 0) == 0
    far = [rewind(spec, 48000 * 60, 44100, 1105) for spec in (opus, level)]
    assert 58 * 44100 < far[0] < 59 * 44100
    assert 37 * 44100 < far[1] < 39 * 44100
    assert rewind(pcm, 44100, 44100, 0) == 44100 - 14400
    assert (far[0] - 1105 + 14400) % 147 == 0


def test_a_place_that_is_none(songs: Mapping[str, bytes]) -> None:
    """A packet that begins off the grid, or before the bytes that come, is refused with the first sound."""
    for resume in (Resume(0, 0, 0), Resume(-312, 44100, 0)):
        with pytest.raises(EncodeError, match="no packet of opus"):
            Transcoder(LOSSY[0], resume=resume).feed(songs["bare"])
