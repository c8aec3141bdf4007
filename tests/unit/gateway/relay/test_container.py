"""Tests of a rendition in a container: packets become chunks that add up, late ones catch up in slices, ends are told.

Invariant under test: joined, the chunks are the packets, and the last one of a whole song is marked.
It must not know codecs: packets are bytes here, and the container is plain PCM or a WAV.
"""

import asyncio

import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.container import SLICE, ContainerRendition
from gateway.relay.outcome import Bill
from gateway.relay.track import Track
from tests.support.encoding import ScriptedEncodings
from tests.support.relay import RENDITION, Clock, Pipe, instruments, listen, until
from transcode.formats import MP3, PCM, WAV, Format, StreamFormat
from transcode.spec import EncoderSpec

DETAILS = StreamFormat(MP3, 1000, 1, 8000)
SPEC = EncoderSpec("pcm", 1000, 1, None)


class Scene:
    """A song of a byte a sample at 1 kHz, its track, and a container of it."""

    def __init__(self, *, form: Format = PCM, max_bytes: int = 1 << 20) -> None:
        self.native = Channel(RENDITION, MP3, instruments(), 1 << 20)
        self.native.open(DETAILS, b"", 0.0)
        self.encodings = ScriptedEncodings()
        self.track = Track(self.native, SPEC, self.encodings, max_bytes)
        self.ends = 0
        self.made = self.container(form)

    def container(self, form: Format = PCM) -> ContainerRendition:
        return ContainerRendition(Channel(RENDITION, form, instruments(), 1 << 20), self.track, Clock(), self.end)

    def end(self) -> None:
        self.ends += 1

    def sing(self, seconds: float, *, packet: int = 20, flags: Flag = Flag.RANDOM_ACCESS) -> None:
        """So much more of the song, encoded into packets of so many samples."""
        size = round(seconds * 1000)
        self.native.append(bytes(range(1, 101)) * (size // 100), size, flags, 0.0)
        (encoding,) = self.encodings.open_ones
        while encoding.answered < len(encoding.steps):
            encoding.answer(packet, discontinuity=encoding.steps[encoding.answered][1])

    def close(self, error: UpstreamError | None = None) -> None:
        self.native.close(error, Bill(1.5, settled=True))
        for encoding in self.encodings.open_ones:
            encoding.answer_all()


def chunks(made: ContainerRendition) -> list[tuple[int, int]]:
    return [(chunk.pts, chunk.duration) for chunk in made.channel.retained]


def joined(made: ContainerRendition) -> bytes:
    return b"".join(chunk.payload for chunk in made.channel.retained)


def test_packets_become_chunks_of_a_tenth_of_a_second() -> None:
    """One packet is held back, so that the last chunk can be marked; sums are the song's."""
    scene = Scene()
    scene.sing(0.5)
    assert chunks(scene.made) == [(0, 100), (100, 100), (200, 100), (300, 100)]
    scene.close()
    assert chunks(scene.made)[-1] == (400, 100)
    assert scene.made.channel.retained[-1].flags == Flag.RANDOM_ACCESS | Flag.LAST
    assert joined(scene.made) == bytes(range(1, 101)) * 5
    outcome = scene.made.channel.outcome
    assert outcome is not None
    assert (outcome.error, outcome.duration_seconds, outcome.bill) == (None, 0.5, Bill(1.5, settled=True))
    assert (scene.ends, scene.track.readers) == (1, {})


def test_its_details_are_the_encoders() -> None:
    """Rate, channels and bitrate of the spec; the header of the container goes out first."""
    scene, pipe = Scene(form=WAV), Pipe()
    listen(scene.made.channel, pipe)
    scene.sing(0.3)
    assert scene.made.channel.details == StreamFormat(WAV, 1000, 1, None)
    assert pipe.announced is not None
    assert pipe.announced[2] is not None
    assert pipe.announced[2].payload.startswith(b"RIFF")


def test_long_packets_are_chunks_of_their_own() -> None:
    """They cannot be cut."""
    scene = Scene()
    scene.sing(0.5, packet=250)
    assert chunks(scene.made) == [(0, 250)]


def test_a_hole_begins_a_chunk_that_says_so() -> None:
    """What came before it goes out, however short it is."""
    scene = Scene()
    scene.sing(0.3, packet=40)
    scene.sing(0.2, packet=40, flags=Flag.RANDOM_ACCESS | Flag.DISCONTINUITY)
    scene.close()
    torn = [chunk for chunk in scene.made.channel.retained if chunk.flags & Flag.DISCONTINUITY]
    assert [chunk.pts for chunk in torn] == [300]
    assert sum(chunk.duration for chunk in scene.made.channel.retained) == 500


def test_a_hole_right_at_a_border_begins_no_empty_chunk() -> None:
    """There is nothing to send before the first packet."""
    scene = Scene()
    scene.sing(0.2, flags=Flag.RANDOM_ACCESS | Flag.DISCONTINUITY)
    assert scene.made.channel.retained[0].flags & Flag.DISCONTINUITY


async def test_a_second_container_catches_up_in_slices() -> None:
    """It has the same chunks in the end, and the loop turns in between."""
    scene = Scene()
    for _ in range(12):
        scene.sing(0.4, packet=10)
    late = scene.container(WAV)
    late.pump()
    assert late.channel.end < scene.made.channel.end
    late.pump()
    await until(lambda: late.channel.end == scene.made.channel.end)
    assert len(scene.track.packets) > 3 * SLICE
    assert joined(late) == joined(scene.made)
    scene.close()
    assert (late.channel.outcome is not None, scene.ends) == (True, 2)


def test_a_container_that_comes_after_the_beginning_is_gone_begins_later() -> None:
    """In its place in the song: its first chunk says where that is."""
    scene = Scene(max_bytes=1000)
    scene.sing(2.0, packet=50)
    late = scene.container()
    late.pump()
    begin = late.channel.retained[0].pts
    assert begin == scene.track.packets[0].pts > 0
    scene.close()
    assert late.channel.end_pts == scene.made.channel.end_pts == 2000


async def test_whoever_closes_in_the_middle_of_catching_up_is_left_alone() -> None:
    """No turn follows."""
    scene = Scene()
    for _ in range(12):
        scene.sing(0.4, packet=10)
    late = scene.container()
    late.pump()
    end = late.channel.end
    late.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert late.channel.end == end


@pytest.mark.parametrize("code", ["upstream_interrupted", "cancelled"])
def test_a_stream_that_breaks_ends_its_formats_with_its_error(code: str) -> None:
    """What came is heard, and no chunk is marked as the last."""
    scene, pipe = Scene(), Pipe()
    listen(scene.made.channel, pipe)
    scene.sing(0.3)
    scene.close(UpstreamError(code, "No more."))
    assert pipe.said[-1] == ("ended", code)
    assert sum(chunk.duration for chunk in pipe.chunks) == 300
    assert not any(chunk.flags & Flag.LAST for chunk in pipe.chunks)


def test_a_codec_that_fails_ends_its_format_alone() -> None:
    """The stream goes on; what was made is heard."""
    scene, pipe, native = Scene(), Pipe(), Pipe()
    listen(scene.made.channel, pipe)
    listen(scene.native, native)
    scene.sing(0.3)
    scene.encodings.fail(ServiceError("transcoding_failed", "No."))
    assert pipe.said[-1] == ("ended", "transcoding_failed")
    assert native.said[-1] == ("chunk", 0)


def test_a_song_without_a_packet_ends_all_the_same() -> None:
    """Nothing is opened, and the end is told."""
    scene, pipe = Scene(), Pipe()
    listen(scene.made.channel, pipe)
    scene.track.pump()
    scene.close(UpstreamError("upstream_empty", "Nothing."))
    assert pipe.said == [("ended", "upstream_empty")]
    scene.made.pump()
    assert scene.ends == 1
