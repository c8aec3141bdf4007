"""Tests of decoding MP3 frames.

Invariant under test: the song's own samples, to the bit and to the last one, however many frames come at once; time is
kept over damage, changes of form and gaps. Golden truth is PyAV's decode of a whole file.
"""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.packets import read
from transcode.formats import CodecFrame
from transcode.framer import Framer
from transcode.mp3decoder import Mp3Decoder
from transcode.samples import Sound

_BORROWED = 12  # frames that may hear something of one before them, in these songs
NAMES = ["bare", "cbr128", "cbr192", "cbr320", "vbr", "mono24k", "mono16k", "mono8k", "id3v1", "cover"]


def cut(song: bytes) -> tuple[list[CodecFrame], Mp3Decoder]:
    """The song's frames, and a decoder for them."""
    framer = Framer()
    frames = framer.feed(song) + framer.flush()
    assert framer.format is not None
    return frames, Mp3Decoder(framer.format.sample_rate, framer.format.channels)


def gaps(sounds: Sequence[Sound]) -> list[int]:
    """The samples before which sound is missing."""
    lengths = [sound.block.shape[1] for sound in sounds]
    return [sum(lengths[:at]) for at, sound in enumerate(sounds) if sound.discontinuity]


def joined(sounds: Sequence[Sound]) -> NDArray[np.float32]:
    return np.concatenate([sound.block for sound in sounds], axis=1).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_those_of_the_whole_file(songs: Mapping[str, bytes], name: str) -> None:
    """With an Info frame exactly the two seconds that were encoded, without one all that is in the frames."""
    frames, decoder = cut(songs[name])
    found = joined(decoder.decode(frames))
    expected = read(songs[name], "mp3")
    tagged = frames[0].samples == 0
    assert decoder.lead == (1105 if tagged else 0)
    if tagged:
        assert found.shape[1] == 2 * decoder.sample_rate
    else:
        assert found.shape[1] == sum(frame.samples for frame in frames) == expected.shape[1]
    assert np.array_equal(found, expected[:, : found.shape[1]].astype(np.float32))
    assert decoder.errors == 0
    assert decoder.flush() == []


@pytest.mark.parametrize("name", ["vbr", "mono24k", "bare"])
def test_how_many_come_at_once_does_not_matter(songs: Mapping[str, bytes], name: str) -> None:
    """One by one, by threes, or more than are decoded together."""
    frames, decoder = cut(songs[name])
    whole = joined(decoder.decode(frames))
    for size in (1, 3, 17):
        _, other = cut(songs[name])
        sounds = [sound for at in range(0, len(frames), size) for sound in other.decode(frames[at : at + size])]
        assert np.array_equal(joined(sounds), whole)
        assert all(sound.block.shape[1] for sound in sounds)


@pytest.mark.parametrize("name", ["vbr", "mono24k", "cbr128"])
@pytest.mark.parametrize("seed", range(8))
def test_how_many_come_at_once_does_not_matter_to_damage(songs: Mapping[str, bytes], name: str, seed: int) -> None:
    """Frames that are refused, damaged or strange are so whether others came with them or not, and so is what follows.

    What noise is made of damage is another matter, also where it lasts: in frames that borrow from it.
    """
    frames, alone = cut(songs[name])
    draw = random.Random(seed)
    noisy = np.zeros(sum(frame.samples for frame in frames), dtype=np.bool_)
    for at in draw.sample(range(1, len(frames)), 4):
        data = bytearray(frames[at].data)
        match draw.randrange(3):
            case 0:  # the decoder borrows more than there is, or reads on where nothing is
                data[4:] = draw.randbytes(len(data) - 4)
            case 1:  # no header at all
                data[0] = 0
            case _:  # a form of its own
                data[3] ^= 0xC0
        begin, size = sum(frame.samples for frame in frames[:at]), frames[at].samples
        noisy[begin : begin + _BORROWED * size] = True
        frames[at] = CodecFrame(bytes(data), size, draw.random() < 0.2)
    expected = [sound for frame in frames for sound in alone.decode([frame])]
    sure = ~noisy[alone.lead :][: joined(expected).shape[1]]
    for size in (4, 10, len(frames)):
        _, other = cut(songs[name])
        sounds = [sound for at in range(0, len(frames), size) for sound in other.decode(frames[at : at + size])]
        assert joined(sounds).shape == joined(expected).shape
        assert np.array_equal(joined(sounds)[:, sure], joined(expected)[:, sure])
        assert other.errors == alone.errors
        assert gaps(sounds) == gaps(expected)


def test_a_refused_frame_is_silence_of_its_length(songs: Mapping[str, bytes]) -> None:
    """It is counted, and what follows stands where it stood."""
    frames, decoder = cut(songs["bare"])
    clean = joined(decoder.decode(frames))
    _, decoder = cut(songs["bare"])
    broken = CodecFrame(b"no frame at all", 1152)
    damaged = joined(decoder.decode([broken, *frames[1:20], broken, *frames[21:]]))
    assert decoder.errors == 2
    assert damaged.shape == clean.shape
    assert not damaged[:, :1152].any()
    assert not damaged[:, 20 * 1152 : 21 * 1152].any()
    assert np.array_equal(damaged[:, 30 * 1152 :], clean[:, 30 * 1152 :])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_refused_frames_are_a_gap(songs: Mapping[str, bytes], size: int) -> None:
    """It is told once for as many as follow each other, where the first of them stands."""
    frames, decoder = cut(songs["bare"])
    broken = CodecFrame(b"no frame at all", 1152)
    damaged = [*frames[:20], broken, broken, broken, *frames[23:40], broken, *frames[41:50]]
    sounds = [sound for at in range(0, len(damaged), size) for sound in decoder.decode(damaged[at : at + size])]
    assert gaps(sounds) == [20 * 1152, 40 * 1152]
    assert joined(sounds).shape[1] == 50 * 1152


def test_before_the_first_sound_there_is_no_gap(songs: Mapping[str, bytes]) -> None:
    """Whoever takes up a song begins with frames that nothing can be made of. A gap that was told stays one."""
    frames, decoder = cut(songs["bare"])
    broken = CodecFrame(b"no frame at all", 1152)
    assert not any(sound.discontinuity for sound in decoder.decode([broken, broken, *frames[2:9]]))
    _, decoder = cut(songs["bare"])
    torn = CodecFrame(broken.data, 1152, discontinuity=True)
    assert [sound.discontinuity for sound in decoder.decode([torn, *frames[1:9]])] == [True]


def test_a_gap_begins_a_new_sound(songs: Mapping[str, bytes]) -> None:
    """It says so, and nothing of what stood before the gap is heard behind it."""
    frames, decoder = cut(songs["cbr320"])
    spliced = CodecFrame(frames[40].data, 1152, discontinuity=True)
    before, after = decoder.decode([*frames[:20], spliced, *frames[41:60]])
    assert (before.discontinuity, after.discontinuity) == (False, True)
    assert before.block.shape[1] == 19 * 1152 - 1105
    assert after.block.shape[1] == 20 * 1152
    alone = Mp3Decoder(48000, 2).decode([spliced, *frames[41:60]])
    assert np.array_equal(after.block, joined(alone))


def test_a_gap_in_what_is_dropped_is_not_lost(songs: Mapping[str, bytes]) -> None:
    """The lead ends within the first frames; a gap there is one before the first sample."""
    frames, decoder = cut(songs["cbr128"])
    assert decoder.decode([frames[0], CodecFrame(frames[1].data, 1152, discontinuity=True)])[0].discontinuity
    frames, decoder = cut(songs["mono24k"])
    assert decoder.decode([frames[0], CodecFrame(frames[1].data, 576, discontinuity=True)]) == []
    assert decoder.decode([frames[2], frames[3]])[0].discontinuity


def test_another_form_is_brought_back(songs: Mapping[str, bytes]) -> None:
    """A second at 24 kHz in one channel inside of 44.1 kHz stereo: as long as it lasts, and the rest as it was."""
    frames, decoder = cut(songs["bare"])
    strange, _ = cut(songs["mono24k"])
    clean = joined(decoder.decode(frames))
    _, decoder = cut(songs["bare"])
    parts = [*frames[:30], CodecFrame(strange[1].data, 576, discontinuity=True), *strange[2:51]]
    back = CodecFrame(frames[30].data, 1152, discontinuity=True)
    sounds = decoder.decode(parts) + decoder.decode([back, *frames[31:]]) + decoder.flush()
    found = joined(sounds)
    inside = 50 * 576 * 44100 // 24000
    assert found.shape == (2, clean.shape[1] + inside)
    assert sum(sound.discontinuity for sound in sounds) == 2
    assert np.array_equal(found[:, : 30 * 1152], clean[:, : 30 * 1152])
    assert np.array_equal(found[:, inside + 40 * 1152 :], clean[:, 40 * 1152 :])
    assert np.array_equal(found[0, 30 * 1152 :][:inside], found[1, 30 * 1152 :][:inside])


def test_a_song_that_ends_in_another_form(songs: Mapping[str, bytes]) -> None:
    """What the resampler holds back comes with the end."""
    frames, decoder = cut(songs["bare"])
    strange, _ = cut(songs["mono24k"])
    sounds = decoder.decode([*frames[:2], *strange[1:3]])
    assert joined([*sounds, *decoder.flush()]).shape[1] == 2 * 1152 + round(1152 * 44100 / 24000)


def test_only_the_first_info_frame_counts(songs: Mapping[str, bytes]) -> None:
    """Another one in the middle is no sound and says nothing of this song."""
    frames, decoder = cut(songs["bare"])
    info = cut(songs["cbr128"])[0][0]
    assert joined(decoder.decode([*frames[:10], info, *frames[10:]])).shape[1] == 1152 * len(frames)
    assert decoder.lead == 0


def test_more_frames_than_were_told(songs: Mapping[str, bytes]) -> None:
    """What follows the padding is heard: the count may be a lie, and a song was paid for."""
    frames, decoder = cut(songs["cbr128"])
    found = joined(decoder.decode([*frames, *frames[1:11]]))
    assert found.shape[1] == 2 * 44100 + 10 * 1152


@pytest.mark.parametrize("tagged", [True, False])
def test_a_song_taken_up_in_the_middle(songs: Mapping[str, bytes], tagged: bool) -> None:
    """It ends where it would have ended if its Info frame is there, and begins where it was told."""
    frames, decoder = cut(songs["cbr192"])
    clean = joined(decoder.decode(frames))
    later = Mp3Decoder(44100, 2, skipped=40 * 1152, lead=1105)
    found = joined(later.decode([*frames[: int(tagged)], *frames[41:]]))
    at = 40 * 1152 - 1105
    assert later.lead == 1105
    assert found.shape[1] == (clean.shape[1] - at if tagged else 1152 * (len(frames) - 41))
    same = slice(2 * 1152, clean.shape[1] - at)
    assert np.array_equal(found[:, same], clean[:, at:][:, same])


def test_a_song_taken_up_at_its_first_frame(songs: Mapping[str, bytes]) -> None:
    """What was told of its lead is dropped, though no Info frame is there to tell it."""
    frames, decoder = cut(songs["cbr192"])
    clean = joined(decoder.decode(frames))
    found = joined(Mp3Decoder(44100, 2, lead=1105).decode(frames[1:]))
    assert np.array_equal(found[:, : clean.shape[1]], clean)
