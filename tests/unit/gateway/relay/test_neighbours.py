"""Tests of the talk between nodes: what is found where, who is counted, and what lapses when it is not said again.

Invariant under test: whichever node is asked, the answer is the same, or `cluster_unavailable`; a listener is counted
once, wherever it is. Two and three hubs share a played cluster.
"""

import asyncio
import logging

import pytest

from gateway.config.schema import Limits
from gateway.errors import LimitError, RequestError, ServiceError
from gateway.model import AudioDelta, Principal, Status, StreamId, TenantId
from gateway.protocol.messages import FormatSpec
from gateway.relay import letters
from gateway.relay.neighbours import read
from gateway.relay.order import Order
from gateway.relay.publications import WANTED_SECONDS
from gateway.relay.wishes import possible
from tests.support.hub import OTHER, SONG
from tests.support.nodes import Nodes, nodes
from tests.support.relay import BUYER, TENANT, song, until, within

MP3 = possible([FormatSpec("mp3")])


async def test_listeners_are_counted_once_over_all_nodes() -> None:
    """By the owner, who is told once a second; of a node that falls silent nobody is left after a while."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        there, here, _ = three
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = [await node.hear(stream.id, form) for node in three for form in ("mp3", "pcm", "mp3")]
        await three.pass_by(1.0)
        assert (stream.here, stream.listeners, stream.elsewhere) == (3, 9, {"n1": 3, "n2": 3})
        replica = await here.replica(stream.id)
        assert (replica.here, replica.listeners) == (3, 9)
        heard[3].leave()
        assert replica.listeners == 8, "who has just left is not counted, nor are the others forgotten"
        heard[4].leave()
        heard[5].leave()
        assert replica.listeners == 6
        await three.pass_by(1.0)
        assert stream.elsewhere == {"n2": 3}
        there.cluster.deaf |= {"heard", "want"}
        await three.pass_by(WANTED_SECONDS)
        assert stream.listeners == 6
        await three.pass_by(2.0)
        assert stream.listeners == stream.here == 3
        there.cluster.deaf.clear()
        await three.pass_by(1.0)
        assert stream.listeners == 6
        three.realm.kill("n2")
        await three.pass_by(WANTED_SECONDS + 2.0)
        assert stream.listeners == 3


async def test_limits_on_listeners_count_those_of_other_nodes() -> None:
    """Of the same tenant; what a node has not said yet counts as none."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3, limits=Limits(listeners=2)) as three:
        there, here, third = three
        stream = await there.create()
        theirs = await here.hub.create(Order(Principal(OTHER, "k"), song()))
        await there.hear(stream.id)
        second = await here.hear(stream.id)
        for node in three:
            with pytest.raises(LimitError) as refusal:
                node.hub.check_listeners(TENANT)
            assert refusal.value.code == "concurrency_exceeded"
            node.hub.check_listeners(OTHER)
        with pytest.raises(LimitError), third.hub.place(TENANT):
            pass
        with pytest.raises(LimitError):
            await third.hear(stream.id)
        assert third.neighbours.crowd(TENANT) == 2
        there.cluster.says = bytes
        assert third.neighbours.crowd(TENANT) == 1
        second.leave()
        third.hub.check_listeners(TENANT)
        assert theirs.listeners == 0


class Abandoned:
    """A stream that is cancelled as soon as nobody hears it."""

    def __init__(self, two: Nodes) -> None:
        self.two = two
        self.there, self.here = two

    async def begin(self) -> StreamId:
        self.stream = await self.there.hub.create(Order(BUYER, song(), grace=0.0))
        await until(lambda: self.stream.native.end > 0)
        return self.stream.id

    @property
    def running(self) -> bool:
        return self.stream.status is Status.RUNNING


async def test_a_stream_that_is_heard_elsewhere_is_not_abandoned() -> None:
    """Not before its owner has been told of its listeners, not while there are any, but when the last has left."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        scene = Abandoned(two)
        heard = await scene.here.hear(await scene.begin())
        scene.there.tick()
        assert scene.running
        await two.pass_by(3.0)
        assert scene.running
        heard.leave()
        await two.pass_by(2.0)
        await within(scene.stream.wait())
        assert scene.stream.status is Status.CANCELLED
        await until(lambda: heard.stream.status is Status.CANCELLED)


async def test_who_stayed_for_a_moment_has_been_there() -> None:
    """Between two words to the owner somebody came and left: nobody hears the song any more."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        scene = Abandoned(two)
        (await scene.here.hear(await scene.begin())).leave()
        await two.pass_by(2.0)
        await within(scene.stream.wait())
        assert scene.stream.status is Status.CANCELLED


async def test_who_only_looks_has_not_been_there() -> None:
    """A format that was asked for and not heard is no listener that has left."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        scene = Abandoned(two)
        replica = await scene.here.replica(await scene.begin())
        await replica.obtain(MP3)
        await two.pass_by(3.0)
        assert scene.running


async def test_a_rendition_is_sent_once_for_all_nodes() -> None:
    """And no longer than one of them reads it."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        there, here, third = three
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = [await node.hear(stream.id) for node in (here, here, third, third)]
        assert len(three.realm.logs) == 1
        assert stream.native.doors == {"cluster": 1}
        for one in heard[:3]:
            one.leave()
        await three.pass_by(3 * WANTED_SECONDS)
        assert len(three.realm.logs) == 1
        heard[3].leave()
        keep = here.hub._transcode.keep_seconds
        await three.pass_by(keep + 4.0)
        assert three.realm.logs == {}
        assert stream.native.listeners == {}


async def test_a_node_that_dies_is_read_for_no_longer() -> None:
    """It says nothing any more, and so it wants nothing."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await here.hear(stream.id)
        await two.pass_by(WANTED_SECONDS + 5.0)
        assert len(there.neighbours._publications) == 1
        two.realm.kill("n1")
        await two.pass_by(WANTED_SECONDS + 1.0)
        assert len(there.neighbours._publications) == 0


async def test_what_the_directory_knows_and_nobody_has_is_not_there() -> None:
    """A node that has just forgotten it, this one or another, is as good as none."""
    async with nodes() as two:
        there, here = two
        for owner in ("n0", "n1", "n9"):
            two.realm.owners[StreamId("st_x")] = owner
            for node in two:
                with pytest.raises(RequestError, match="no such stream"):
                    await node.hub.find(TENANT, "st_x")
        stream = await there.finish()
        two.realm.away = True
        with pytest.raises(ServiceError) as refusal:
            await here.hub.find(TENANT, stream.id)
        assert refusal.value.code == "cluster_unavailable"
        assert await there.hub.find(TENANT, stream.id) is stream, "its own is found without anybody"


async def test_an_ended_stream_is_not_asked_about_all_the_time() -> None:
    """What was told is true for a while; then it is asked for again, for its owner may have forgotten it."""
    async with nodes() as two:
        there, here = two
        stream = await there.finish()
        for _ in range(3):
            await here.replica(stream.id)
        asked = two.realm.letters.count(("n1", "n0", "look"))
        assert asked == 1
        two.now.at += 10.0
        await here.replica(stream.id)
        assert two.realm.letters.count(("n1", "n0", "look")) == 2
        there.hub._streams.clear()
        two.now.at += 10.0
        with pytest.raises(RequestError):
            await here.replica(stream.id)


@pytest.mark.parametrize("kind", ["want", "cancel", "keep", "share", "heard"])
async def test_a_stream_that_is_not_there_is_told_so(kind: str) -> None:
    """Whatever a node asks about it, and whatever it says of it; what is no letter is refused."""
    async with nodes() as two:
        there, here = two
        name = letters.Name(tenant=TENANT, stream_id=StreamId("st_gone"))
        row = letters.Heard(stream_id=StreamId("st_gone"), listeners=1, reading=[1])
        bodies: dict[str, letters.Letter] = {
            "want": letters.want(StreamId("st_gone"), MP3, None),
            "share": letters.sharing(TENANT, song(), None),
            "heard": letters.HeardList(streams=[row]),
        }
        asked = here.cluster.ask("n0", kind, bodies.get(kind, name).octets())
        if kind in ("share", "heard"):
            assert await asked == b""
        else:
            with pytest.raises(RequestError) as refusal:
                await asked
            assert refusal.value.code == "stream_not_found"
        with pytest.raises(ServiceError) as strange:
            await here.cluster.ask("n0", kind, b"\xc1")
        assert strange.value.code == "internal"
        for strange_body in (b"", b"\x82\xa6tenant\xa1\xff", b"\x81\xa4mood" + b"\x91" * 5000 + b"\x01"):
            with pytest.raises(ServiceError):
                read(letters.Name, strange_body)
        assert list(there.hub.streams) == []


async def test_a_copy_is_not_sent_on() -> None:
    """Only its owner is asked: a node that has a copy says that it is not its own."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        there, here, third = three
        stream = await there.create()
        await here.hear(stream.id)
        for kind, letter in (
            ("want", letters.want(stream.id, MP3, None)),
            ("cancel", letters.Name(tenant=TENANT, stream_id=stream.id)),
        ):
            with pytest.raises(RequestError):
                await third.cluster.ask("n1", kind, letter.octets())
        look = letters.Name(tenant=TENANT, stream_id=stream.id).octets()
        assert await third.cluster.ask("n1", "look", look) == b""
        other = letters.Name(tenant=TenantId("other"), stream_id=stream.id).octets()
        assert await third.cluster.ask("n0", "look", other) == b""
        assert stream.status is Status.RUNNING


async def test_a_directory_that_is_away_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A stream is made and forgotten all the same; it stands in the log."""
    async with nodes() as two:
        there, _ = two
        two.realm.away = True
        with caplog.at_level(logging.WARNING):
            stream = await there.finish()
        assert stream.status is Status.COMPLETED
        assert "cluster.streams_untold" in caplog.text
        two.time.at += 4000.0
        there.hub.forget()
        await two.told()
        assert list(there.hub.streams) == []


async def test_a_stream_that_is_heard_elsewhere_is_kept() -> None:
    """Past its time, until they have heard it; then it is found nowhere."""
    async with nodes() as two:
        there, here = two
        stream = await there.finish()
        heard = await here.hear(stream.id)
        await until(lambda: heard.ended)
        slow = await here.hear(stream.id)
        slow.pipe.room = 0
        slow.listener.next = 0
        slow.listener.join()
        await two.pass_by(1.0)
        assert stream.listeners == 1
        two.time.at += 4000.0
        there.hub.forget()
        assert list(there.hub.streams) == [stream]
        slow.leave()
        await two.pass_by(WANTED_SECONDS + 2.0)
        assert list(there.hub.streams) == []
        await two.told()
        assert two.realm.owners == {}
        assert two.realm.logs == {}


async def test_what_is_forgotten_is_sent_no_more() -> None:
    """At once: its audio is gone."""
    async with nodes() as two:
        there, here = two
        stream = await there.finish()
        await here.hear(stream.id)
        assert len(two.realm.logs) == 1
        two.time.at += 4000.0
        there.hub.forget()
        assert two.realm.logs == {}
