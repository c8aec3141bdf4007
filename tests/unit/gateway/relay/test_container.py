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
from gateway.relay.segments import FRAME, Segments
from gateway.relay.track import Track
from tests.support.encoding import ScriptedEncodings
from tests.support.relay import RENDITION, Clock, Pipe, instruments, listen, until
from transcode.formats import AAC, MP3, PCM, WAV, Format, StreamFormat
from transcode.packet import CodecConfig, Encoded, Packet
from transcode.spec import EncoderSpec

DETAILS = StreamFormat(MP3, 1000, 1, 8000)
SPEC = EncoderSpec("pcm", 1000, 1, None)


class Scene:
    """A song of a byte a sample at 1 kHz, its track, and a container of it."""

    def __init__(self, *, form: Format = PCM, max_bytes: int = 1 << 20, spec: EncoderSpec = SPEC) -> None:
        self.native = Channel(RENDITION, MP3, instruments(), 1 << 20)
        self.native.open(DETAILS, b"", 0.0)
        self.encodings = ScriptedEncodings()
        self.track = Track(self.native, spec, self.encodings, max_bytes)
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


def test_packets_become_chunks_as_the_song_comes() -> None:
    """One packet is held back, so that the last chunk can be marked; sums are the song's."""
    scene = Scene()
    scene.sing(0.5)
    assert chunks(scene.made) == [(0, 160), (160, 160), (320, 160)]
    scene.close()
    assert chunks(scene.made)[-1] == (480, 20)
    assert scene.made.channel.retained[-1].flags == Flag.RANDOM_ACCESS | Flag.LAST
    assert joined(scene.made) == bytes(range(1, 101)) * 5
    outcome = scene.made.channel.outcome
    assert outcome is not None
    assert (outcome.error, outcome.duration_seconds, outcome.bill) == (None, 0.5, Bill(1.5, settled=True))
    assert (scene.ends, scene.track.readers) == (1, {})


def test_what_a_step_has_completed_leaves_with_it() -> None:
    """From 100 ms on; less waits for more."""
    scene = Scene()
    scene.sing(0.1)
    assert chunks(scene.made) == []
    scene.sing(0.1)
    assert chunks(scene.made) == [(0, 180)]
    scene.sing(0.1)
    assert chunks(scene.made) == [(0, 180), (180, 100)]


def aac(scene: Scene, packets: list[Packet], *, last: bool = False) -> None:
    """A step of the song that becomes these packets; the last one if so told."""
    if last:
        scene.native.close(None, Bill(1.5, settled=True))
    else:
        scene.native.append(b"a", 1, Flag.RANDOM_ACCESS, 0.0)
    (encoding,) = scene.encodings.open_ones
    encoding.answered += 1
    encoding.sink.encoded(Encoded(tuple(packets), CodecConfig(encoding.spec, FRAME, b"\x11\x90")))


def test_of_an_encoder_that_lags_nothing_is_held_back() -> None:
    """The song's end always is one more packet, which can be marked."""
    scene = Scene(form=AAC, spec=EncoderSpec("aac", 48000, 2, 128_000))
    packets = [Packet(b"aac", at * FRAME, FRAME) for at in range(-1, 12)]
    aac(scene, packets[:6])
    aac(scene, packets[6:11])
    assert [chunk.duration // FRAME for chunk in scene.made.channel.retained] == [5, 5]
    aac(scene, packets[11:], last=True)
    assert [chunk.duration // FRAME for chunk in scene.made.channel.retained] == [5, 5, 2]
    marks = [bool(chunk.flags & Flag.LAST) for chunk in scene.made.channel.retained]
    assert marks == [False, False, True]


@pytest.mark.parametrize("step", [1, 3, 7, 12, 44, 120])
def test_no_chunk_of_aac_crosses_the_end_of_a_segment(step: int) -> None:
    """However many packets come at once, and counted anew from where sound was lost: so segments are the song's own."""
    scene = Scene(form=AAC, spec=EncoderSpec("aac", 48000, 2, 128_000))
    segments = Segments.of(scene.made.channel)
    packets = [Packet(b"aac", at * FRAME, FRAME, 0, at == 100) for at in range(-1, 200)]
    for at in range(0, 200, step):
        aac(scene, packets[at : min(at + step, 200)])
    aac(scene, packets[200:], last=True)
    assert [segment.duration // FRAME for segment in segments.kept] == [44, 45, 11, 45, 45, 10]
    assert {chunk.duration // FRAME for chunk in scene.made.channel.retained} <= set(range(1, 12))


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
    """It has the same sound in the end, and the loop turns in between."""
    scene = Scene()
    for _ in range(12):
        scene.sing(0.4, packet=10)
    late = scene.container(WAV)
    late.pump()
    assert late.channel.end_pts < scene.made.channel.end_pts
    late.pump()
    await until(lambda: late.channel.end_pts == scene.made.channel.end_pts)
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
