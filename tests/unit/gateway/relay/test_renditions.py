"""Tests of a stream's formats: shared when equal, begun when the song's numbers are there, given up unheard.

Invariant under test: one encode for each codec with its numbers, however many ask and in whatever container.
It must not know codecs: those who encode are played.
"""

import asyncio

import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.protocol.messages import FormatSpec
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.renditions import Renditions
from gateway.relay.wishes import Wished, possible
from tests.support.encoding import ScriptedEncodings
from tests.support.relay import RENDITION, Clock, Pipe, instruments, listen, within, workshop
from transcode.formats import MP3, StreamFormat

DETAILS = StreamFormat(MP3, 8000, 1, 64000)


def wishes(*names: str, **numbers: int) -> list[Wished]:
    return possible([FormatSpec(name, **numbers) for name in names])  # type: ignore[arg-type] # numbers by name


class Scene:
    """A stream's own channel at 8 kHz mono, a byte a sample, and what is made of it."""

    def __init__(self, *, opened: bool = True, room: int | None = None, most: int = 12) -> None:
        self.clock = Clock()
        self.native = Channel(RENDITION, MP3, instruments(now=self.clock), 1 << 20)
        self.encodings = ScriptedEncodings(room)
        self.renditions = Renditions(self.native, workshop(encodings=self.encodings, now=self.clock, max_formats=most))
        if opened:
            self.sing()

    def sing(self, count: int = 1) -> None:
        if self.native.details is None:
            self.native.open(DETAILS, b"", 0.0)
        for _ in range(count):
            self.native.append(bytes(1600), 1600, 1, 0.0)  # type: ignore[arg-type] # a flag by its number
        for encoding in self.encodings.open_ones:
            encoding.answer_all()

    def close(self, error: UpstreamError | None = None) -> None:
        self.native.close(error, Bill(1.0, settled=True))
        for encoding in self.encodings.open_ones:
            encoding.answer_all()


def test_the_providers_own_format_is_its_channel() -> None:
    """And nothing is encoded; nor where it is the only one of a list that is there."""
    scene = Scene()
    assert scene.renditions.channel(wishes("mp3")) is scene.native
    assert scene.renditions.channel(wishes("pcm", "mp3")) is scene.native
    assert scene.encodings.opened == []


def test_the_same_wish_is_the_same_channel() -> None:
    """Also when one says the numbers that the other leaves to the song."""
    scene = Scene()
    first = scene.renditions.channel(wishes("pcm"))
    assert scene.renditions.channel(wishes("pcm")) is first
    assert scene.renditions.channel(wishes("pcm", sample_rate=8000, channels=1)) is first
    assert scene.renditions.channel(wishes("pcm", channels=2)) is not first
    assert len(scene.encodings.opened) == 2


def test_containers_of_one_codec_share_its_encode() -> None:
    """Also the one that comes late: it has the song from its start."""
    scene = Scene()
    bare = scene.renditions.channel(wishes("pcm"))
    scene.sing(4)
    wrapped = scene.renditions.channel(wishes("wav"))
    scene.sing()
    assert len(scene.encodings.opened) == 1
    whole = b"".join(chunk.payload for chunk in bare.retained)
    assert b"".join(chunk.payload for chunk in wrapped.retained) == whole
    names = {bare.rendition.number, wrapped.rendition.number, scene.native.rendition.number}
    assert len(names) == 3


def test_what_is_being_made_is_preferred() -> None:
    """A list's second wish, when it is there and the first is not; without any, the first that can be begun."""
    scene = Scene()
    made = scene.renditions.channel(wishes("wav", "pcm"))
    assert made.format.name == "wav"
    assert scene.renditions.channel(wishes("pcm", "wav")) is made
    assert scene.renditions.existing(wishes("pcm")) is None


def test_full_workers_say_what_there_is() -> None:
    """The refusal names the formats that cost no encode, and says when to come again."""
    scene = Scene(room=1)
    scene.renditions.channel(wishes("pcm"))
    with pytest.raises(ServiceError, match=r"at once as: mp3, pcm\.") as full:
        scene.renditions.channel(wishes("pcm", channels=2))
    assert (full.value.code, full.value.retry_after, full.value.param) == ("transcoding_full", 2.0, "format")
    assert scene.renditions.channel(wishes("wav")).format.name == "wav"
    assert len(list(scene.renditions)) == 3


def test_a_stream_has_so_many_formats_at_once() -> None:
    """Of those that nobody hears the oldest goes, whole or not; those that are heard stay, and the next is refused."""
    scene = Scene(most=2)
    first, second = (scene.renditions.channel(wishes("pcm", sample_rate=rate)) for rate in (8001, 8002))
    listen(first, Pipe())
    third = scene.renditions.channel(wishes("pcm", sample_rate=8003))
    assert list(scene.renditions) == [scene.native, first, third]
    assert second.retained_bytes == 0
    listen(third, Pipe())
    with pytest.raises(ServiceError, match="mp3, pcm"):
        scene.renditions.channel(wishes("pcm", sample_rate=8004))
    assert scene.renditions.channel(wishes("pcm", sample_rate=8001)) is first


def test_the_moment_of_a_position_outlives_its_format() -> None:
    """Whoever heard one format can go on in another, also when the first has been given up; no other log is known."""
    scene = Scene(most=1)
    first = scene.renditions.channel(wishes("pcm", sample_rate=8001))
    scene.sing(3)
    native, made = scene.native.position(2), first.position(first.end)
    moments = [scene.renditions.moment(position) for position in (native, made)]
    assert moments == [pytest.approx(0.4), pytest.approx(first.end_pts / 8001)]
    scene.renditions.channel(wishes("pcm", sample_rate=8002))
    assert first not in list(scene.renditions)
    assert scene.renditions.moment(made) == moments[1]
    assert scene.renditions.moment(made._replace(seq=first.end + 1)) is None
    assert scene.renditions.moment(made._replace(epoch=made.epoch + 50)) is None


def test_before_the_first_sound_a_format_waits() -> None:
    """Its numbers are the song's; the same wish waits in the same channel, and hears all from the start."""
    scene, pipe = Scene(opened=False), Pipe()
    channel = scene.renditions.channel(wishes("pcm"))
    assert scene.renditions.channel(wishes("pcm")) is channel
    listen(channel, pipe)
    scene.native.tell(b"news")
    assert scene.encodings.opened == []
    scene.sing(2)
    scene.close()
    assert pipe.announced is not None
    assert (pipe.announced[0].sample_rate, pipe.announced[0].channels) == (8000, 1)
    assert sum(chunk.duration for chunk in pipe.chunks) == 3200
    assert pipe.said[-1] == ("ended", None)


def test_who_asks_between_the_songs_numbers_and_its_first_chunk_is_begun_once() -> None:
    """Another format waits for that chunk meanwhile; each is fed by one encode, and has every sample once."""
    scene, pipes = Scene(opened=False), (Pipe(), Pipe())
    listen(scene.renditions.channel(wishes("pcm")), pipes[0])
    scene.native.open(DETAILS, b"", 0.0)
    listen(scene.renditions.channel(wishes("wav", channels=2)), pipes[1])
    scene.sing(3)
    scene.close()
    for pipe in pipes:
        assert [chunk.seq for chunk in pipe.chunks] == list(range(len(pipe.chunks)))
        assert sum(chunk.duration for chunk in pipe.chunks) == 4800
        assert pipe.said[-1] == ("ended", None)


def test_the_songs_own_numbers_wished_before_they_are_known_are_its_own_bytes() -> None:
    """Whoever asks after the first sound is given the provider's; begun by one and gone on with the other it is one."""
    scene, pipe = Scene(opened=False), Pipe()
    listen(scene.renditions.channel(wishes("mp3", sample_rate=8000, bitrate=64000)), pipe)
    scene.sing(3)
    assert scene.renditions.channel(wishes("mp3", sample_rate=8000, bitrate=64000)) is scene.native
    scene.close()
    assert scene.encodings.opened == []
    assert [chunk.payload for chunk in pipe.chunks] == [chunk.payload for chunk in scene.native.retained]
    assert pipe.outcome is not None
    assert scene.native.outcome is not None
    assert pipe.outcome.sha256 == scene.native.outcome.sha256


def test_before_the_first_sound_full_workers_are_told_of() -> None:
    """Nobody buys a song to hear then that it cannot be heard so; the song's own format takes nobody's place."""
    scene = Scene(opened=False, room=0)
    with pytest.raises(ServiceError, match=r"at once as: mp3\.") as full:
        scene.renditions.channel(wishes("pcm"))
    assert (full.value.code, full.value.param) == ("transcoding_full", "format")
    assert scene.renditions.channel(wishes("mp3", sample_rate=8000)).outcome is None
    assert scene.renditions.channel(wishes("pcm", "mp3")) is scene.native


def test_a_song_that_never_sounds_ends_those_who_wait() -> None:
    """And those who ask after its end."""
    scene, pipe, late = Scene(opened=False), Pipe(), Pipe()
    listen(scene.renditions.channel(wishes("pcm")), pipe)
    scene.close(UpstreamError("upstream_failed", "No."))
    assert pipe.said == [("ended", "upstream_failed")]
    listen(scene.renditions.channel(wishes("wav")), late)
    assert late.said == [("ended", "upstream_failed")]


def test_who_waits_and_finds_no_room_is_told() -> None:
    """Each format by itself; the others begin."""
    scene, lucky, unlucky = Scene(opened=False, room=1), Pipe(), Pipe()
    listen(scene.renditions.channel(wishes("pcm")), lucky)
    listen(scene.renditions.channel(wishes("pcm", channels=2)), unlucky)
    scene.sing(3)
    assert unlucky.said == [("ended", "transcoding_full")]
    assert unlucky.outcome is not None
    assert "at once as: mp3, pcm." in str(unlucky.outcome.error)
    assert lucky.said[0][0] == "started"
    scene.encodings.room = None
    assert scene.renditions.channel(wishes("pcm", channels=2)).outcome is None


def test_a_fault_of_ours_while_formats_begin_ends_them() -> None:
    """And nothing else."""
    scene, pipe = Scene(opened=False), Pipe()
    listen(scene.renditions.channel(wishes("pcm")), pipe)
    scene.renditions.fail()
    assert pipe.said == [("ended", "internal")]


def test_what_nobody_hears_is_given_up() -> None:
    """After a while, and with the last container its encode; the next to ask begins anew."""
    scene = Scene()
    bare, wrapped = scene.renditions.channel(wishes("pcm")), scene.renditions.channel(wishes("wav"))
    listener = listen(wrapped, Pipe())
    scene.renditions.tick()
    scene.clock.at += 10
    scene.renditions.tick()
    assert bare not in list(scene.renditions)
    assert wrapped in list(scene.renditions)
    assert not scene.encodings.opened[0].closed
    listener.leave()
    scene.renditions.tick()
    scene.clock.at += 9
    scene.renditions.tick()
    assert not scene.encodings.opened[0].closed
    scene.clock.at += 1
    scene.renditions.tick()
    assert (scene.encodings.opened[0].closed, list(scene.renditions)) == (True, [scene.native])
    assert scene.renditions.channel(wishes("pcm")) is not bare
    assert len(scene.encodings.opened) == 2


def test_what_waits_unheard_is_given_up_too() -> None:
    """It holds nothing yet, and is forgotten all the same."""
    scene = Scene(opened=False)
    scene.renditions.channel(wishes("pcm"))
    scene.renditions.tick()
    scene.clock.at += 10
    scene.renditions.tick()
    assert list(scene.renditions) == [scene.native]


def test_what_is_whole_is_kept() -> None:
    """As long as the stream is, heard or not; and it counts as retained."""
    scene = Scene()
    channel = scene.renditions.channel(wishes("pcm"))
    scene.sing(3)
    scene.close()
    assert channel.outcome is not None
    for _ in range(3):
        scene.clock.at += 100
        scene.renditions.tick()
    assert scene.renditions.channel(wishes("pcm")) is channel
    assert scene.renditions.retained_bytes == 3 * 4 * 1600


def test_what_failed_is_begun_again_for_the_next() -> None:
    """A codec's failure is not the stream's; the broken one is given up like any that nobody hears."""
    scene = Scene()
    broken = scene.renditions.channel(wishes("pcm"))
    scene.encodings.fail(ServiceError("transcoding_failed", "No."))
    assert broken.outcome is not None
    fresh = scene.renditions.channel(wishes("pcm"))
    assert fresh is not broken
    assert len(scene.encodings.opened) == 2
    for _ in range(2):
        scene.renditions.tick()
        scene.clock.at += 10
    assert broken not in list(scene.renditions)
    assert not scene.encodings.opened[1].closed or fresh not in list(scene.renditions)


def test_a_lost_encode_is_taken_up_at_the_next_tick() -> None:
    scene = Scene()
    scene.renditions.channel(wishes("pcm"))
    scene.encodings.room = 0
    scene.encodings.kill()
    scene.encodings.room = None
    scene.renditions.tick()
    assert len(scene.encodings.opened) == 2


def test_closing_ends_what_is_in_the_making() -> None:
    """What is whole stays as it ended."""
    scene, pipe = Scene(), Pipe()
    listen(scene.renditions.channel(wishes("pcm")), pipe)
    waiting = scene.renditions.channel(wishes("wav"))
    scene.renditions.close(ServiceError("going_away", "Bye."))
    assert pipe.said[-1] == ("ended", "going_away")
    assert waiting.outcome is not None
    assert scene.encodings.open_ones == []
    scene.renditions.close(ServiceError("internal", "Again."))
    assert waiting.outcome.error is not None
    assert waiting.outcome.error.code == "going_away"


def test_forgetting_lets_all_audio_go() -> None:
    """Whoever still holds a channel holds no song."""
    scene = Scene()
    channel = scene.renditions.channel(wishes("pcm"))
    scene.sing(3)
    scene.close()
    scene.renditions.forget(ServiceError("going_away", "Bye."))
    assert (scene.native.retained_bytes, channel.retained_bytes, scene.renditions.retained_bytes) == (0, 0, 0)
    assert list(scene.renditions) == [scene.native]


async def test_the_end_of_all_that_is_heard_can_be_waited_for() -> None:
    """Formats that nobody hears are not waited for; giving one up lets go whoever waits."""
    scene = Scene()
    await within(scene.renditions.finished())
    listener = listen(scene.renditions.channel(wishes("pcm")), Pipe())
    waiter = asyncio.create_task(scene.renditions.finished())
    second = asyncio.create_task(scene.renditions.finished())
    await asyncio.sleep(0)
    scene.close()
    await within(waiter)
    await within(second)
    assert listener.channel.outcome is not None
