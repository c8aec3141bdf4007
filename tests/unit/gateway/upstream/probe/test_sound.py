"""What is said about the bytes of songs, and about two copies of one.

Invariant under test: offsets point at what they are said to, and bytes that are no song are told as that.
It must not know where songs are from.
"""

import random
import struct

import pytest

from gateway.upstream.probe.sound import compare, examine
from tests.support.relay import mp3_frames, wav

FRAMES = mp3_frames(20)
SONG = b"".join(FRAMES)
TAG = b"ID3\x04\x00\x00\x00\x00\x00\x05hello"
INFO = (FRAMES[0][:4] + bytes(32) + b"Info" + bytes(8) + b"LAME3.100").ljust(417, b"\0")
BETTER = b"\xff\xfb\xb0\x64" + bytes(622)  # 192 kbit/s


def test_an_mp3_is_described() -> None:
    """Coding, constant bitrate, tag, and where its frames end."""
    sound = examine(TAG + SONG + b"tail")
    assert (sound.codec, sound.sample_rate, sound.channels) == ("mp3", 44100, 2)
    assert sound.seconds == pytest.approx(20 * 1152 / 44100)
    assert sound.bitrates == {128000: 20}
    assert sound.bitrate == pytest.approx(128000, rel=0.01)
    assert (sound.tag, sound.start, sound.sounding) == (15, 15, 15)
    assert (sound.index, sound.encoder, sound.wav) == (None, None, None)
    assert (sound.between, sound.after) == (0, 4)
    assert sound.ends[0] == 15 + 417
    assert [sound.on_border(at) for at in (0, 15, 16, 15 + 417, 15 + 20 * 417, 15 + 20 * 417 + 4)] == [
        False, True, False, True, True, False,
    ]  # fmt: skip
    assert [sound.seconds_at(at) for at in (0, 15 + 416, 15 + 417)] == [0, 0, 1152 / 44100]
    assert sound.seconds_at(10**9) == sound.seconds


def test_an_index_frame_is_no_sound() -> None:
    """Its kind and its encoder are told, and the sound begins behind it."""
    sound = examine(INFO + SONG)
    assert (sound.index, sound.encoder) == ("Info", "LAME3.100")
    assert (sound.start, sound.sounding) == (0, 417)
    assert sound.seconds == pytest.approx(20 * 1152 / 44100)
    bare = examine(INFO.replace(b"LAME3.100", bytes(9)) + SONG)
    assert bare.encoder is None


def test_a_variable_bitrate_is_counted() -> None:
    """By frames; the average is of all."""
    sound = examine(SONG + BETTER * 20)
    assert sound.bitrates == {128000: 20, 192000: 20}
    assert sound.bitrate == pytest.approx(160000, rel=0.01)


def test_bytes_between_frames_are_counted() -> None:
    """A tag in the middle of a song belongs to no frame."""
    sound = examine(SONG + TAG + SONG)
    assert (sound.between, sound.after) == (15, 0)
    assert sound.ends[20] == len(SONG) + 15 + 417


@pytest.mark.parametrize(
    ("size", "form"),
    [
        (None, "the declared size is true"),
        (0, "the declared size is 0"),
        (0xFFFFFFFF, "the declared size is a placeholder (0xffffffff)"),
        (0x7FFFFFFF - 36, "the declared size is a placeholder (0x7fffffdb)"),
        (24000, "the declared size is wrong"),
    ],
)
def test_the_header_of_a_wav_is_described(size: int | None, form: str) -> None:
    """In the forms that live encoders write."""
    audio = bytearray(wav(24000))
    if size is not None:
        struct.pack_into("<I", audio, 40, size)
    sound = examine(bytes(audio))
    assert (sound.codec, sound.sample_rate, sound.channels, sound.seconds) == ("pcm_s16le", 24000, 1, 1.0)
    assert sound.wav is not None
    assert (sound.wav.header, sound.wav.magic, sound.wav.chunks) == (44, "RIFF", ("fmt", "data"))
    assert (sound.wav.form, sound.wav.found) == (form, 48000)
    assert sound.wav.data == (48000 if size is None else size)
    assert [sound.on_border(at) for at in (43, 44, 45, 46)] == [False, True, False, True]
    assert sound.seconds_at(44 + 24000) == 0.5


def test_the_length_of_an_rf64_is_found() -> None:
    """It stands in a chunk of its own."""
    plain = wav(240)
    head = b"RF64\xff\xff\xff\xffWAVE" + struct.pack("<4sIQQQI", b"ds64", 28, 0, 480, 240, 0)
    sound = examine(head + plain[12:40] + b"\xff\xff\xff\xff" + plain[44:])
    assert sound.wav is not None
    assert (sound.wav.magic, sound.wav.chunks) == ("RF64", ("ds64", "fmt", "data"))
    assert sound.wav.form == "the declared size is true"


@pytest.mark.parametrize("audio", [b"", b"\xff\xfb", b"x" * 100_000, wav(0)])
def test_no_song_has_no_codec(audio: bytes) -> None:
    """Nothing, too little, garbage, and a header alone."""
    sound = examine(audio)
    assert (sound.codec, sound.seconds, sound.seconds_at(5)) == (None, 0, 0)


# -- two copies --------------------------------------------------------------------------------------------------------

NOISE = random.Random(1).randbytes(300_000)


@pytest.mark.parametrize(
    ("slices", "file", "verdict", "at", "more"),
    [
        (SONG, SONG, "identical", None, 0),
        (TAG + SONG, SONG, "same frames", None, 0),
        (SONG, INFO + SONG, "same sound", None, 0),
        (SONG, SONG + b"tail", "one goes on", len(SONG), 4),
        (TAG + SONG, SONG[:-417], "one goes on", 15 + len(SONG) - 417, -417),
        (SONG, SONG[:5000] + b"!" + SONG[5001:], "different", 5000, 0),
        (NOISE, NOISE[:200_000] + b"!!", "different", 200_000, 2 - 100_000),
        (SONG, b"<html>", "different", 0, 6 - len(SONG)),
    ],
    ids=["identical", "tag", "index", "longer", "shorter", "inside", "noise", "page"],
)
def test_two_copies_are_compared(slices: bytes, file: bytes, verdict: str, at: int | None, more: int) -> None:
    """Identical, the same from a frame on, one longer than the other, or from where they differ."""
    compared = compare(slices, examine(slices), file)
    assert (compared.verdict, compared.at, compared.more) == (verdict, at, more)


def test_the_place_of_a_difference_is_told_in_seconds_too() -> None:
    """Of whole frames before it."""
    compared = compare(SONG, examine(SONG), SONG[:1000] + b"!" + SONG[1001:])
    assert compared.seconds == pytest.approx(2 * 1152 / 44100)
