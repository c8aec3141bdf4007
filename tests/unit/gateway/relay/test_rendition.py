"""Tests of the provider's own format as a rendition: its bytes, cut into chunks that listeners can use.

Invariant under test: joined payloads are the provider's bytes from the first codec frame on, however they were sliced;
chunks are 100 to 250 ms of whole frames; the last chunk of a whole song, and no other, is marked as such.
"""

import array
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.model import Chunk, Flag
from gateway.relay.channel import Channel
from gateway.relay.rendition import NativeRendition
from metrics.recorder import Recorder
from tests.support.relay import FRAME_SAMPLES, FRAME_SECONDS, Clock, Pipe, listen, mp3_frames, new_channel, wav
from transcode.formats import MP3, WAV, Format
from transcode.mp3encoder import Mp3Encoder

TAG = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)


@pytest.fixture(scope="session")
def encoded() -> bytes:
    """Two seconds of noise as a real MP3, 128 kbit/s at 44.1 kHz in stereo."""
    encoder = Mp3Encoder(44100, 2, 128_000)
    return encoder.feed(random.Random(1).randbytes(2 * 44100 * 4)) + encoder.flush()


def rendition(form: Format = MP3) -> NativeRendition:
    return NativeRendition(new_channel(form=form, max_bytes=1 << 24), Clock())


def chunks(channel: Channel) -> list[Chunk]:
    return list(channel.retained)


def sing(song: bytes, size: int, form: Format = MP3, *, complete: bool = True) -> list[Chunk]:
    """All chunks of a song that comes in slices of `size`; checks that they follow each other."""
    native = rendition(form)
    feed(native, song, size)
    native.finish(complete=complete)
    made = chunks(native.channel)
    assert [chunk.pts for chunk in made] == [sum(one.duration for one in made[:index]) for index in range(len(made))]
    assert native.seconds == pytest.approx(native.channel.seconds(native.channel.end_pts))
    return made


def feed(native: NativeRendition, song: bytes, size: int) -> None:
    """The whole song, in slices of `size`."""
    for at in range(0, len(song), size):
        native.feed(song[at : at + size])


def join(made: list[Chunk]) -> bytes:
    return b"".join(chunk.payload for chunk in made)


@pytest.mark.parametrize("size", [1, 417, 1000, 4096, 100_000])
def test_joined_payloads_are_the_providers_bytes(encoded: bytes, size: int) -> None:
    """From the first frame on nothing is missing, added or moved; only the tag before it is gone."""
    assert join(sing(TAG + encoded, size)) == encoded


@pytest.mark.parametrize("size", [100, 417, 3000, 100_000])
def test_chunks_are_100_to_250_ms(encoded: bytes, size: int) -> None:
    """Every chunk but the last is at least 100 ms long and none is longer than 250, whatever the slices."""
    made = sing(encoded, size)
    seconds = [chunk.duration / 44100 for chunk in made]
    assert min(seconds[:-1]) >= 0.1
    assert max(seconds) <= 0.25
    assert sum(seconds) == pytest.approx(2.0, abs=0.1)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(1, 5000), max_size=40))
def test_any_slices_give_whole_frames(count: int, sizes: list[int]) -> None:
    """Payloads are whole frames and their durations those of the frames, in whatever slices the bytes come."""
    frames = mp3_frames(count)
    song = b"".join(frames)
    native, at = rendition(), 0
    for size in [*sizes, len(song)]:
        native.feed(song[at : at + size])
        at += size
    native.finish(complete=True)
    made = chunks(native.channel)
    assert join(made) == song
    assert all(len(chunk.payload) % 417 == 0 for chunk in made)
    assert all(chunk.duration == len(chunk.payload) // 417 * FRAME_SAMPLES for chunk in made)
    assert all(0.1 <= chunk.duration / 44100 <= 0.25 for chunk in made[:-1])
    assert [bool(chunk.flags & Flag.LAST) for chunk in made] == [False] * (len(made) - 1) + [True]


def test_a_chunk_leaves_with_the_slice_that_completes_it() -> None:
    """As soon as 100 ms and one frame more are in, the 100 ms go out; one frame is held back."""
    native = rendition()
    frames = mp3_frames(6)
    for frame in frames[:4]:
        native.feed(frame)
    assert native.channel.end == 0
    native.feed(frames[4])
    assert [chunk.payload for chunk in chunks(native.channel)] == [b"".join(frames[:4])]
    native.feed(frames[5])
    assert native.channel.end == 1


def test_a_large_slice_is_cut() -> None:
    """A burst of seconds does not make one chunk of seconds."""
    native = rendition()
    native.feed(b"".join(mp3_frames(100)))
    durations = [chunk.duration / 44100 for chunk in chunks(native.channel)]
    assert len(durations) >= 11
    assert max(durations) <= 0.25


def test_the_last_chunk_of_a_whole_song_is_marked() -> None:
    """Exactly the last chunk carries LAST, also when the song ends where a chunk would have ended anyway."""
    for count in (1, 4, 5, 8, 9):
        flags = [chunk.flags for chunk in sing(b"".join(mp3_frames(count)), 417)]
        assert flags[-1] == Flag.RANDOM_ACCESS | Flag.LAST
        assert set(flags[:-1]) <= {Flag.RANDOM_ACCESS}


def test_a_broken_song_has_no_last_chunk() -> None:
    """What came in before a failure goes out, and nothing says that it is the end of the song."""
    made = sing(b"".join(mp3_frames(7)), 417, complete=False)
    assert join(made) == b"".join(mp3_frames(7))
    assert not any(chunk.flags & Flag.LAST for chunk in made)


def test_a_wav_has_its_header_outside_the_sequence() -> None:
    """The header is the init chunk; header and payloads joined are the file."""
    song = wav(24000 + 77)
    native = rendition(WAV)
    feed(native, song, 999)
    native.finish(complete=True)
    assert native.channel.init is not None
    assert native.channel.init.payload + join(chunks(native.channel)) == song
    assert native.channel.end_pts == 24077
    assert all(0.1 <= chunk.duration / 24000 <= 0.25 for chunk in chunks(native.channel)[:-1])


def test_a_hole_begins_a_new_chunk() -> None:
    """The frame after lost bytes opens a chunk that says so; what was there before goes out first."""
    before, after = b"".join(mp3_frames(2)), b"".join(mp3_frames(12, first=2))
    made = sing(before + b"garbage" * 5 + after, 100_000)
    marked = [chunk.seq for chunk in made if chunk.flags & Flag.DISCONTINUITY]
    assert marked == [1]
    assert made[0].payload == before
    assert join(made[1:]) == after


def test_what_is_not_audio_is_refused() -> None:
    """64 KiB without a frame are no song; the failure says so without the provider's bytes."""
    native = rendition()
    with pytest.raises(UpstreamError) as refusal:
        native.feed(b"<html>" * 12000)
    assert refusal.value.code == "upstream_protocol"
    assert "html" not in refusal.value.message
    native.finish(complete=False)
    assert (native.channel.end, native.seconds) == (0, 0.0)


def test_a_wav_that_cannot_be_read_is_no_song_at_its_end_either() -> None:
    """A head that was never understood gives nothing when the song is over."""
    native = rendition()
    native.feed(b"x" * 60_000)
    native.finish(complete=True)
    assert native.channel.end == 0


@pytest.mark.parametrize(
    ("form", "song"), [(MP3, wav(2400)), (MP3, wav(24000)), (WAV, b"".join(mp3_frames(8)))], ids=["wav", "long", "mp3"]
)
@pytest.mark.parametrize("size", [1000, 100_000])
def test_another_format_than_was_asked_for_is_refused(form: Format, song: bytes, size: int) -> None:
    """The names of both are told once; nothing of the other format ever goes out, not even at the end."""
    native = rendition(form)
    with pytest.raises(UpstreamError, match="asked for"):
        feed(native, song, size)
    native.finish(complete=False)
    assert (native.channel.details, native.channel.end) == (None, 0)


def test_times_are_those_of_the_bytes() -> None:
    """A chunk is born when its last bytes came in, the song when its first did."""
    clock, recorder = Clock(10.0), Recorder()
    native = NativeRendition(new_channel(clock=clock, recorder=recorder), clock)
    listen(native.channel, Pipe())
    frames = mp3_frames(12)
    native.feed(frames[0][:100])
    clock.at = 20.0
    native.feed(frames[0][100:] + b"".join(frames[1:5]))
    clock.at = 30.0
    native.finish(complete=True)
    assert [chunk.born for chunk in chunks(native.channel)] == [20.0, 30.0]
    assert recorder.registry.get_sample_value("wavegate_relay_first_audio_seconds_sum") == 10.0


def test_seconds_count_what_is_held_back() -> None:
    """What has come in counts at once, before its chunk has gone out."""
    native = rendition()
    assert native.seconds == 0.0
    for frame in mp3_frames(3):
        native.feed(frame)
    assert native.channel.end == 0
    assert native.seconds == pytest.approx(3 * FRAME_SECONDS)


def test_a_fade_makes_what_follows_quieter_and_nothing_shorter() -> None:
    """From the second it begins at, through whole frames, to silence; what has gone out stays as it was."""
    native, song = rendition(WAV), wav(24000)
    feed(native, song[:24044], 4000)
    native.fade_out(0.6, 0.9)
    feed(native, song[24044:], 4000)
    native.finish(complete=True)
    init = native.channel.init
    assert init is not None
    heard = (init.payload + join(chunks(native.channel)))[44:]
    sound = song[44:]
    assert len(heard) == len(sound)
    samples, faint = array.array("h", sound), array.array("h", heard)
    assert faint[:14400] == samples[:14400]
    for at in range(14400, 21600):
        assert faint[at] == pytest.approx(samples[at] * (21599 - at) / 7200, abs=1.0)
    assert not any(faint[21600:])
    assert native.seconds == pytest.approx(1.0)


def test_silence_at_the_end_is_counted_until_something_sounds() -> None:
    """In whole chunks: the zeros that have come in a row."""
    native, sound = rendition(WAV), wav(48000)
    feed(native, sound[:44] + bytes(48000), 4000)
    assert native.silent_seconds == native.channel.seconds(native.channel.end_pts)
    assert native.silent_seconds > 0.7
    native.feed(sound[44:20044])
    assert native.silent_seconds == 0.0
    native.feed(bytes(40000))
    assert native.silent_seconds == pytest.approx(0.7, abs=0.2)
