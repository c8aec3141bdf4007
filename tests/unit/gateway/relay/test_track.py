"""Tests of the track: what it hands on step by step, what it keeps, and that a death in between loses nothing.

Invariant under test: one step is out at a time, and joined the steps are the song. It must not know codecs: those who
encode are played, a byte a sample.
"""

import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.track import MOST_LOSSES, Track
from tests.support.encoding import ScriptedEncodings
from tests.support.relay import RENDITION, instruments
from transcode.formats import MP3, WAV, StreamFormat
from transcode.packet import Resume
from transcode.spec import EncoderSpec

# A byte a sample, and 0.25 seconds are 250 of them.
DETAILS = StreamFormat(MP3, 1000, 1, 8000)
SPEC = EncoderSpec("pcm", 1000, 1, None)


class Reader:
    """Counts how often it was told."""

    def __init__(self) -> None:
        self.pumped = 0

    def pump(self) -> None:
        self.pumped += 1


def channel(*, opened: bool = True, max_bytes: int = 1 << 20, form: StreamFormat = DETAILS) -> Channel:
    native = Channel(RENDITION, form.format, instruments(), max_bytes)
    if opened:
        native.open(form, b"", 0.0)
    return native


def append(native: Channel, *payloads: bytes, flags: Flag = Flag.RANDOM_ACCESS) -> None:
    for payload in payloads:
        native.append(payload, len(payload), flags, 0.0)


def close(native: Channel, error: UpstreamError | None = None) -> None:
    native.close(error, Bill(1.0, settled=True))


def joined(track: Track) -> bytes:
    return b"".join(packet.data for packet in track.packets)


def test_steps_take_what_has_come_one_at_a_time() -> None:
    """While one is out, audio gathers; the next takes up to a quarter of a second."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, b"a" * 100)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    (encoding,) = encodings.opened
    append(native, *[b"b" * 100] * 4)
    assert encoding.steps == [(b"a" * 100, False, False)]
    encoding.answer()
    assert encoding.steps[1] == (b"b" * 200, False, False)
    encoding.answer()
    assert encoding.steps[2] == (b"b" * 200, False, False)
    encoding.answer()
    assert len(encoding.steps) == 3
    close(native)
    assert encoding.steps[3] == (b"", False, True)
    encoding.answer()
    assert (track.over, track.error, encoding.closed, native.followers) == (True, None, True, {})
    assert joined(track) == b"a" * 100 + b"b" * 400


def test_a_song_that_is_whole_already_is_read_from_its_start() -> None:
    """The last step says that nothing follows."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, b"a" * 100, b"b" * 100)
    close(native)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    assert encodings.opened[0].steps == [(b"a" * 100 + b"b" * 100, False, True)]
    encodings.opened[0].answer_all()
    assert track.over


def test_a_header_goes_before_the_first_bytes() -> None:
    """A WAV's samples mean nothing without it."""
    native, encodings = channel(form=StreamFormat(WAV, 1000, 1, 8000), opened=False), ScriptedEncodings()
    native.open(StreamFormat(WAV, 1000, 1, 8000), b"HEAD", 0.0)
    append(native, b"a" * 200)
    Track(native, SPEC, encodings, 1 << 20).pump()
    assert encodings.opened[0].steps[0][0] == b"HEAD" + b"a" * 200


def test_before_the_first_sound_and_with_nothing_new_it_waits() -> None:
    """Nothing is handed on, and nothing breaks."""
    native, encodings = channel(opened=False), ScriptedEncodings()
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    native.open(DETAILS, b"", 0.0)
    track.pump()
    assert encodings.opened[0].steps == []
    track.tell(b"news")


def test_a_hole_at_the_providers_is_told_with_the_bytes_behind_it() -> None:
    """It is the first of what a step takes."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, b"a" * 100)
    append(native, b"b" * 100, flags=Flag.RANDOM_ACCESS | Flag.DISCONTINUITY)
    Track(native, SPEC, encodings, 1 << 20).pump()
    encodings.opened[0].answer()
    assert encodings.opened[0].steps == [(b"a" * 100, False, False), (b"b" * 100, True, False)]


def test_what_is_no_longer_retained_is_a_hole() -> None:
    """A track that was late begins with what there is, and says that something is missing."""
    native, encodings = channel(max_bytes=250), ScriptedEncodings()
    append(native, b"a" * 100, b"b" * 100, b"c" * 100)
    Track(native, SPEC, encodings, 1 << 20).pump()
    assert encodings.opened[0].steps == [(b"b" * 100 + b"c" * 100, True, False)]


def test_a_rate_that_is_not_known_is_taken_for_a_usual_one() -> None:
    """Without a bitrate a step is about six kilobytes."""
    native, encodings = channel(form=StreamFormat(MP3, 1000, 1, None)), ScriptedEncodings()
    append(native, *[b"a" * 1000] * 20)
    Track(native, SPEC, encodings, 1 << 20).pump()
    assert len(encodings.opened[0].steps[0][0]) == 6000


def test_the_oldest_packets_go_beyond_the_bytes_that_may_be_kept() -> None:
    """Numbers go on; the last packet is always kept, since the next one is put behind it."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, *[b"a" * 100] * 20)
    track = Track(native, SPEC, encodings, 1000)
    track.pump()
    encodings.opened[0].answer_all()
    assert (track.first + len(track.packets), track.size) == (20, sum(len(packet.data) for packet in track.packets))
    assert 600 <= track.size <= 1000
    assert track.packets[0].pts == track.first * 100
    tiny = Track(native, SPEC, encodings, 1)
    tiny.pump()
    encodings.opened[1].answer_all()
    assert (tiny.first, len(tiny.packets)) == (19, 1)


def test_readers_are_told_of_every_step_and_of_the_end() -> None:
    native, encodings, reader = channel(), ScriptedEncodings(), Reader()
    append(native, b"a" * 100)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.readers[reader] = None
    track.pump()
    encodings.opened[0].answer()
    assert (reader.pumped, track.config is not None) == (1, True)
    close(native)
    encodings.opened[0].answer()
    assert reader.pumped == 2


def test_a_codec_that_fails_ends_the_track() -> None:
    """With its error, and nobody is asked again."""
    native, encodings, reader = channel(), ScriptedEncodings(), Reader()
    append(native, b"a" * 100)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.readers[reader] = None
    track.pump()
    error = ServiceError("transcoding_failed", "No.")
    encodings.fail(error)
    assert (track.over, track.error, reader.pumped, native.followers) == (True, error, 1, {})
    track.take_up()
    append(native, b"b")
    assert len(encodings.opened) == 1


def test_a_death_is_taken_up_where_it_was() -> None:
    """From as far back as the encode said, so that decoder and encoder are warm; what was out is done again."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, *[bytes([number]) * 100 for number in range(10)])
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    encodings.opened[0].answer(lead=7, rewind=150)
    encodings.kill()
    _, second = encodings.opened
    assert second.resume == Resume(at=200, skipped=100, lead=7)
    assert second.steps[0][0] == b"".join(bytes([number]) * 100 for number in (1, 2))
    close(native)
    second.answer_all()
    assert joined(track) == b"".join(bytes([number]) * 100 for number in range(10))


def test_a_death_before_the_first_packet_begins_again() -> None:
    """There is nothing to continue."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, b"a" * 100)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    encodings.kill()
    assert encodings.opened[1].resume is None
    assert encodings.opened[1].steps == [(b"a" * 100, False, False)]
    assert not track.over


def test_a_song_that_kills_is_given_up() -> None:
    """After deaths in a row without a packet; one in between, and it is tried as often again."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, *[b"a" * 100] * 10)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    for _ in range(MOST_LOSSES - 1):
        encodings.kill()
    while not track.packets:
        encodings.opened[-1].answer()
    for _ in range(MOST_LOSSES - 1):
        encodings.kill()
    assert not track.over
    encodings.kill()
    assert (track.over, track.error is not None and track.error.code) == (True, "transcoding_failed")
    assert encodings.open_ones == []


def test_without_room_it_is_taken_up_later() -> None:
    """Whoever keeps house asks again; asking without need does nothing."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, b"a" * 100)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    track.take_up()
    encodings.room = 0
    encodings.kill()
    assert len(encodings.opened) == 1
    track.pump()
    encodings.room = None
    track.take_up()
    assert len(encodings.opened) == 2


def test_a_death_at_the_last_step_ends_well_all_the_same() -> None:
    """The last step is said again."""
    native, encodings = channel(), ScriptedEncodings()
    append(native, b"a" * 100)
    close(native)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.pump()
    encodings.kill()
    assert encodings.opened[1].steps == [(b"a" * 100, False, True)]
    encodings.opened[1].answer()
    assert (track.over, track.error, joined(track)) == (True, None, b"a" * 100)


def test_who_finds_no_room_does_not_begin() -> None:
    """And leaves nothing behind."""
    native = channel()
    with pytest.raises(ServiceError):
        Track(native, SPEC, ScriptedEncodings(room=0), 1 << 20)
    assert native.followers == {}


def test_closing_and_failing_end_it_once() -> None:
    """A second end changes nothing."""
    native, encodings = channel(), ScriptedEncodings()
    track = Track(native, SPEC, encodings, 1 << 20)
    track.close()
    track.fail()
    assert (track.over, track.error, encodings.opened[0].closed) == (True, None, True)
    track = Track(native, SPEC, encodings, 1 << 20)
    track.fail()
    assert track.error is not None
    assert track.error.code == "internal"
