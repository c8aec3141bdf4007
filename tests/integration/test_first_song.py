"""The main job on real sockets: one generation at the simulator, relayed once, the same bytes for everybody.

Invariant under test: whoever joins, whenever and through whichever door, hears the provider's own bytes from its
position on. Nothing here looks inside the gateway.
"""

import asyncio
import base64
import hashlib
import random

import pytest

from gateway.protocol.frames import unpack
from tests.support.gateway import bench, hear, receive, say, talk
from transcode.framer import Framer

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

SCALE = "[[scale seconds=6 speed=6]] a scale for the listeners of this test"


def from_first_frame(original: bytes) -> bytes:
    """The provider's file from its first codec frame on; a wav's header, which tells its length, is not audio."""
    framer = Framer()
    return b"".join([frame.data for frame in framer.feed(original) + framer.flush()])


@pytest.mark.parametrize("form", ["mp3", "wav"])
async def test_the_joined_payloads_are_the_providers_bytes(form: str) -> None:
    """What a listener joins together is the provider's file from the first codec frame on, and so says the hash."""
    async with bench() as gateway, talk(gateway) as socket:
        await say(socket, type="stream.create", ref=7, input={"prompt": SCALE, "format": form})
        heard = await hear(socket)
        original = await gateway.original(SCALE, format=form)
        expected = from_first_frame(original)
        assert original.endswith(expected)
        joined = b"".join([payload for _, payload in heard.frames])
        assert hashlib.sha256(joined).hexdigest() == hashlib.sha256(expected).hexdigest()
        completed = heard.named("stream.completed")
        assert completed["sha256"] == hashlib.sha256(heard.audio).hexdigest()
        assert completed["bytes"] == len(heard.audio)
        assert bool(heard.init) == (form == "wav")
        assert completed["frames"] == len(heard.frames)
        assert heard.seqs == list(range(len(heard.frames)))
        assert completed["usage"] == {"audio_seconds": 6.0, "settled": True}
        assert heard.named("stream.created")["ref"] == 7


async def test_chunks_are_whole_frames_of_100_to_250_ms_with_running_pts() -> None:
    """Every chunk but the last is 100 to 250 ms long, decodes from its first byte, and starts where the last ended."""
    async with bench() as gateway, talk(gateway) as socket:
        await say(socket, type="stream.create", input={"prompt": SCALE})
        heard = await hear(socket)
        rate = heard.named("stream.started")["format"]["sample_rate"]
        clock = 0
        for header, payload in heard.frames:
            assert header.pts == clock
            clock += header.duration
            framer = Framer()
            assert b"".join([frame.data for frame in framer.feed(payload) + framer.flush()]) == payload
        durations = [header.duration / rate for header, _ in heard.frames]
        assert all(0.1 <= seconds <= 0.25 for seconds in durations[:-1])
        assert abs(clock / rate - 6.0) < 0.2


async def test_ten_listeners_joining_at_random_moments_hear_the_same_bytes() -> None:
    """A late joiner's frames are, from its first seq on, byte for byte those of the listener from the start."""
    async with bench() as gateway:
        song = await gateway.create(SCALE)
        moments = random.Random(4)

        async def join(since: object, delay: float) -> list[tuple[object, bytes]]:
            await asyncio.sleep(delay)  # the moment of joining is what is tested; nothing waits for it
            async with talk(gateway) as socket:
                await say(socket, type="stream.attach", stream_id=song["id"], since=since)
                return [(header, payload) for header, payload in (await hear(socket)).frames]

        wishes: list[object] = ["start", "live", {"seconds_ago": 1.0}]
        joins = [join("start", 0.0)] + [join(moments.choice(wishes), moments.uniform(0, 0.9)) for _ in range(9)]
        first, *others = await asyncio.gather(*joins)
        assert len(first) > 20
        for frames in others:
            assert frames
            assert frames == first[-len(frames) :]


async def test_live_and_seconds_ago_begin_where_they_say() -> None:
    """`live` begins near the edge, `seconds_ago` that far behind it, `start` at zero."""
    async with bench() as gateway, talk(gateway) as witness:
        await say(witness, type="stream.create", input={"prompt": "[[scale seconds=40 speed=4]] a scale to join late"})
        created = await receive(witness)
        edge = 0
        while edge < 5 * 48_000:
            data = await witness.recv()
            if isinstance(data, bytes):
                edge = int.from_bytes(data[8:16], "big")
        # In this order, for the edge moves on from one to the next.
        starts = {}
        for name, since in {"start": "start", "ago": {"seconds_ago": 2}, "live": "live"}.items():
            async with talk(gateway) as socket:
                await say(socket, type="stream.attach", stream_id=created["stream"]["id"], since=since)
                started = await receive(socket)
                while not isinstance(data := await socket.recv(), bytes):
                    pass
                header, _ = unpack(data)
                starts[name] = header.pts / 48_000
                assert started["seq"] == header.seq
        assert starts["start"] == 0
        assert 4.0 <= starts["live"] < 40.0
        assert starts["ago"] >= edge / 48_000 - 3.0
        assert starts["ago"] <= starts["live"] - 1.0


async def test_resume_by_position_continues_exactly() -> None:
    """A listener that comes back with {epoch, seq} gets that frame next, and is told that nothing was lost."""
    async with bench() as gateway:
        song = await gateway.create(SCALE)
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=song["id"])
            whole = await hear(socket)
        epoch = whole.named("stream.started")["epoch"]
        for since, recovered, first in (
            ({"epoch": epoch, "seq": 11}, True, 11),
            ({"epoch": epoch + 1, "seq": 11}, False, 0),
            ({"epoch": epoch, "seq": 10_000}, False, 0),
        ):
            async with talk(gateway) as socket:
                await say(socket, type="stream.attach", stream_id=song["id"], since=since)
                resumed = await hear(socket)
            assert resumed.named("stream.started")["recovered"] is recovered
            assert resumed.frames == whole.frames[first:]


async def test_all_three_framings_carry_the_same_audio() -> None:
    """`raw` is the payloads alone, `json` is base64 with the header's fields, `framed` is both."""
    async with bench() as gateway:
        song = await gateway.create(SCALE)
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=song["id"])
            framed = await hear(socket)
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=song["id"], framing="json")
            deltas = [message for message in (await hear(socket)).messages if message["type"] == "audio.delta"]
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=song["id"], framing="raw")
            raw = []
            while isinstance(data := await socket.recv(), bytes) or b"completed" not in data.encode():
                if isinstance(data, bytes):
                    raw.append(data)
        payloads = [payload for _, payload in framed.frames]
        assert raw == payloads
        assert [base64.b64decode(message["data"]) for message in deltas] == payloads
        assert [(message["seq"], message["pts"]) for message in deltas] == [
            (header.seq, header.pts) for header, _ in framed.frames
        ]


async def test_one_socket_carries_several_streams() -> None:
    """Two streams on one socket keep apart by their rendition number, each complete and in order."""
    async with bench() as gateway, talk(gateway) as socket:
        songs = [await gateway.create(f"[[scale seconds={n} speed=8]] a scale on a shared socket") for n in (2, 3)]
        for song in songs:
            await say(socket, type="stream.attach", stream_id=song["id"])
        first = await hear(socket)
        second = await hear(socket)
        frames = first.frames + second.frames
        renditions = {header.rendition for header, _ in frames}
        assert len(renditions) == 2
        for number in renditions:
            seqs = [header.seq for header, _ in frames if header.rendition == number]
            assert seqs == list(range(len(seqs)))


async def test_the_source_outlives_its_listeners() -> None:
    """A song whose only listener leaves goes on, is whole for the next one, and is billed once."""
    async with bench() as gateway:
        async with talk(gateway) as socket:
            await say(socket, type="stream.create", input={"prompt": SCALE})
            created = await receive(socket)
            while isinstance(await socket.recv(), str):
                pass
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=created["stream"]["id"])
            heard = await hear(socket)
        assert heard.named("stream.completed")["sha256"] == hashlib.sha256(heard.audio).hexdigest()
        assert gateway.simulator.requests == 1


async def test_a_stalled_listener_costs_nobody_else_anything() -> None:
    """While one listener reads nothing at all, another hears the whole song; the stalled one then catches up."""
    prompt = "[[scale seconds=30 speed=30]] a long scale in wav that no socket buffer can hold"
    async with bench(speed=30) as gateway, talk(gateway, max_queue=1) as stalled, talk(gateway) as reader:
        song = await gateway.create(prompt, format="wav")
        await say(stalled, type="stream.attach", stream_id=song["id"], format="wav")
        await say(reader, type="stream.attach", stream_id=song["id"], format="wav")
        whole = await hear(reader)
        assert whole.named("stream.completed")["duration_seconds"] == pytest.approx(30, abs=0.1)
        late = await hear(stalled)
        assert late.audio == whole.audio
