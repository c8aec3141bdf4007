"""Every format at every door, while the song is still being made: it is the provider's song, whole and in its place.

Invariant under test: whatever is converted, the sound is what the provider sent, sample for sample where nothing is
lost, and no longer or shorter; a format is made once, whoever listens. Decoded with FFmpeg's own demuxers.
"""

import asyncio
import base64
import hashlib
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.config.schema import Relay, Transcode
from tests.support.gateway import Bench, Heard, bench, hear, say, talk

PROMPT = "[[scale seconds=5 speed=5]] a scale for every format"
SECONDS = 5.0
BRIEF = "[[scale seconds=2 speed=0]] a short scale for every format"
LOSSLESS = ("pcm", "wav", "flac")
LOSSY = ("mp3", "ogg", "webm", "aac", "mp4")
Samples = NDArray[np.float32]

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def decoded(data: bytes, form: str, rate: int = 48000, channels: int = 2) -> Samples:
    """The sound in a file as (channels, n)."""
    if form == "pcm":
        return np.frombuffer(data, "<i2").reshape(-1, channels).T.astype(np.float32) / 32768
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert stream.rate == rate
        resampler = av.AudioResampler("fltp", stream.layout, rate)
        frames = [made.to_ndarray() for frame in container.decode(stream) for made in resampler.resample(frame)]
        frames += [made.to_ndarray() for made in resampler.resample(None)]
    return np.concatenate(frames, axis=1)


def likeness(one: Samples, other: Samples, *, shift: int = 0) -> float:
    """The correlation of two sounds, the second taken `shift` samples later."""
    middle = slice(one.shape[1] // 2 - 24000, one.shape[1] // 2 + 24000)
    a, b = one[0][middle], other[0][shift:][middle]
    return float(np.corrcoef(a[: len(b)], b)[0, 1])


def aligned(one: Samples, other: Samples, reach: int = 2500) -> tuple[float, int]:
    """The best likeness, and the shift at which it is found."""
    return max((likeness(one, other, shift=shift), shift) for shift in range(0, reach, 1) if shift % 16 == 0)


async def order(gateway: Bench, **fields: Any) -> str:
    return str((await gateway.create(PROMPT, **fields))["id"])


async def fetch(gateway: Bench, stream_id: str, name: str) -> bytes:
    async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.{name}") as response:
        assert response.status == 200, await response.text()
        return await response.read()


def joined(heard: Heard, framing: str) -> bytes:
    if framing == "json":
        return b"".join(base64.b64decode(m["data"]) for m in heard.messages if m["type"] == "audio.delta")
    return heard.bare or heard.audio


async def complaints(program: str, name: str, data: bytes, folder: Path) -> str:
    """What ffprobe has to say against a file."""
    path = folder / f"song.{name}"
    await asyncio.to_thread(path.write_bytes, data)
    form = ("-f", "s16le", "-ar", "48000", "-ac", "2") if name == "pcm" else ()
    arguments = ("-v", "warning", *form, "-show_streams", str(path))
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    return said.decode()


@pytest.mark.parametrize("source", ["mp3", "wav"])
async def test_all_formats_of_a_song_in_the_making(source: str, need: Callable[[str], str], tmp_path: Path) -> None:
    """Over HTTP, all at once, from its first byte: each is the provider's song, and ffprobe has nothing against it."""
    async with bench(transcode=Transcode(workers=1)) as gateway:
        original = decoded(await gateway.original(PROMPT, format=source), source)
        stream_id = await order(gateway, format=source)
        names = (*LOSSLESS, *LOSSY)
        bodies = dict(
            zip(names, await asyncio.gather(*[fetch(gateway, stream_id, name) for name in names]), strict=True)
        )
        metrics = await page(gateway)
    for name in names:
        said = await complaints(need("ffprobe"), name, bodies[name], tmp_path)
        # Bare frames have no duration to tell, and a WAV without a known end has none either.
        known = ["Estimating duration from bitrate"]
        if name == source:
            known.append("Ignoring maximum wav data size")  # the provider's own header, which is handed on as it is
        assert [line for line in said.splitlines() if not any(words in line for words in known)] == [], name
        sound = decoded(bodies[name], name)
        if name in LOSSLESS or name == source:
            # The decoder's own rounding to 16 bits is what may differ.
            assert sound.shape == original.shape, name
            assert np.abs(sound - original).max() <= 1.01 / 32768, name
        else:
            assert abs(sound.shape[1] - original.shape[1]) <= 0.06 * 48000, name
            found, shift = aligned(original, sound)
            assert found >= 0.98, (name, found, shift)
    # One encode for each codec that is not the provider's: its containers share it.
    for codec in ("pcm", "flac", "opus", "aac"):
        assert float(metrics[f'wavegate_transcode_audio_seconds_total{{codec="{codec}"}}']) == pytest.approx(
            SECONDS, abs=0.2
        )
        assert float(metrics[f'wavegate_renditions_active{{codec="{codec}"}}']) == 0


async def page(gateway: Bench) -> dict[str, str]:
    async with gateway.http.get(f"{gateway.internal}/metrics") as response:
        lines = (await response.text()).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("framing", ["framed", "raw", "json"])
@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
async def test_every_framing_carries_every_format(framing: str, name: str) -> None:
    """On a WebSocket, created in that format: what `stream.completed` says of the bytes is true."""
    async with bench() as gateway, talk(gateway) as socket:
        original = decoded(await gateway.original(BRIEF), "mp3")
        # The provider's own format is converted, too, when its numbers are others.
        form = {"codec": name, "channels": 1} if name == "mp3" else name
        order = {"prompt": BRIEF, "format": "mp3"}
        await say(socket, type="stream.create", input=order, format=form, framing=framing)
        heard = await hear(socket, framed=framing == "framed")
        completed = heard.named("stream.completed")
        data = joined(heard, framing)
        assert len(data) == completed["bytes"]
        assert hashlib.sha256(data).hexdigest() == completed["sha256"]
        assert completed["duration_seconds"] == pytest.approx(original.shape[1] / 48000, abs=0.001)
        started = heard.named("stream.started")["format"]
        assert (started["sample_rate"], started["channels"]) == (48000, 1 if name == "mp3" else 2)
        sound = decoded(data, name, channels=started["channels"])
        assert aligned(original, sound)[0] >= 0.98


@pytest.mark.parametrize(
    ("form", "rate", "channels"),
    [
        ({"codec": "pcm", "sample_rate": 24000, "channels": 1}, 24000, 1),
        ({"codec": "mp3", "bitrate": 64000, "sample_rate": 22050}, 22050, 2),
        ({"codec": "flac", "sample_rate": 8000, "channels": 1}, 8000, 1),
        ({"codec": "wav", "sample_rate": 44100, "loudness": -20}, 44100, 2),
    ],
)
async def test_numbers_are_what_was_asked_for(form: dict[str, Any], rate: int, channels: int) -> None:
    """Rate and channels of the announcement and of the sound."""
    async with bench() as gateway, talk(gateway) as socket:
        await say(socket, type="stream.create", input={"prompt": PROMPT}, format=form)
        heard = await hear(socket)
        started = heard.named("stream.started")["format"]
        assert (started["sample_rate"], started["channels"]) == (rate, channels)
        sound = decoded(heard.audio, form["codec"], rate, channels)
        assert sound.shape[0] == channels
        assert sound.shape[1] / rate == pytest.approx(heard.named("stream.completed")["duration_seconds"], abs=0.08)


async def test_formats_asked_for_around_the_first_sound_are_made_once() -> None:
    """Some wait for it, and others come when the song's numbers are known and its first chunk is not there yet."""
    async with bench() as gateway:
        stream_id = str((await gateway.create("[[scale seconds=2 speed=1 wait=0.5 slice=500]] a scale"))["id"])

        async def listen(name: str, *, early: bool) -> Heard:
            document: dict[str, Any] = {}
            async with asyncio.timeout(10), talk(gateway) as socket:
                while not early and document.get("sample_rate") is None:
                    async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}") as response:
                        document = await response.json()
                await say(socket, type="stream.attach", stream_id=stream_id, format=name)
                return await hear(socket)

        names = {"ogg": True, "wav": True, "flac": False, "webm": False, "pcm": False, "mp4": False}
        heard = await asyncio.gather(*[listen(name, early=early) for name, early in names.items()])
        for name, one in zip(names, heard, strict=True):
            assert one.seqs == list(range(len(one.seqs))), name
            told = one.named("stream.completed")
            assert (told["bytes"], told["sha256"]) == (len(one.audio), hashlib.sha256(one.audio).hexdigest()), name
            assert await fetch(gateway, stream_id, name) == one.audio, name


async def test_a_late_joiner_of_a_finished_song_hears_it_whole_in_any_format() -> None:
    """The encode begins when it is asked for; the second to ask gets a file with a length and ranges."""
    async with bench() as gateway:
        stream_id = await order(gateway)
        await fetch(gateway, stream_id, "mp3")
        first = await fetch(gateway, stream_id, "ogg")
        url = f"{gateway.url}/v1/streams/{stream_id}/audio.ogg"
        async with gateway.http.get(url, headers={"Range": "bytes=0-99"}) as response:
            assert (response.status, await response.read()) == (206, first[:100])
            assert response.headers["Content-Range"] == f"bytes 0-99/{len(first)}"
        async with gateway.http.head(f"{gateway.url}/v1/streams/{stream_id}/audio.flac") as response:
            assert (response.status, response.headers["Content-Type"]) == (200, "audio/flac")


async def test_a_listener_in_the_middle_decodes_from_its_first_chunk() -> None:
    """`since` with seconds: the init chunk, and then the sound of that place."""
    async with bench() as gateway:
        stream_id = await order(gateway)
        whole = await fetch(gateway, stream_id, "ogg")
        for name in ("ogg", "webm", "mp4", "aac", "flac", "mp3"):
            await fetch(gateway, stream_id, name)
            url = f"{gateway.url}/v1/streams/{stream_id}/audio.{name}?since=2"
            async with gateway.http.get(url) as response:
                late = await response.read()
            sound = decoded(late, name)
            assert 1.8 <= sound.shape[1] / 48000 <= 2.4, name
        assert len(whole) > 0


async def test_clips_of_a_song_in_the_making_and_of_a_whole_one() -> None:
    """Trimmed, faded, normalised, looped, in any format; what does not exist yet cannot be cut."""
    async with bench(speed=2.0) as gateway:
        original = decoded(await gateway.original(PROMPT), "mp3")
        stream_id = await order(gateway)
        base = f"{gateway.url}/v1/streams/{stream_id}/clip"
        async with gateway.http.get(f"{base}.wav?start=4.5") as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, "start")
        async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.mp3") as response:
            await response.content.readexactly(20_000)
            async with gateway.http.get(f"{base}.wav?duration=0.5") as early:
                assert early.status == 200, await early.text()
                cut = decoded(await early.read(), "wav")
            await response.read()
        assert cut.shape[1] == 24000
        assert np.abs(cut - original[:, :24000]).max() <= 1.01 / 32768
        query = "start=1&duration=2&fade_in=0.1&fade_out=0.1&normalize=-20"
        for name in (*LOSSLESS, *LOSSY):
            async with gateway.http.get(f"{base}.{name}?{query}") as response:
                assert response.status == 200, await response.text()
                clip = decoded(await response.read(), name)
            # What the encoder put around it is declared, and taken off, in all but AAC's containers.
            assert clip.shape[1] == pytest.approx(96000, abs=0.06 * 48000 if name in ("aac", "mp4") else 0), name
            assert np.abs(clip[:, :200]).max() < 0.02
        async with gateway.http.get(f"{base}.flac?start=1&duration=2&loop_crossfade=0.5") as response:
            assert decoded(await response.read(), "flac").shape[1] == 72000


async def test_a_clip_of_a_song_whose_beginning_is_gone() -> None:
    """Its seconds are the song's all the same, to the sample; what has gone is refused."""
    async with bench(speed=0, relay=Relay(max_stream_bytes=48_000)) as gateway:
        original = decoded(await gateway.original(PROMPT), "mp3")
        stream_id = await order(gateway)
        async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.mp3") as response:
            await response.read()
        base = f"{gateway.url}/v1/streams/{stream_id}/clip.wav"
        async with gateway.http.get(f"{base}?start=4&duration=0.5") as response:
            assert response.status == 200, await response.text()
            clip = decoded(await response.read(), "wav")
        assert clip.shape[1] == 24000
        assert np.abs(clip - original[:, 4 * 48000 : 4 * 48000 + 24000]).max() <= 1.01 / 32768
        async with gateway.http.get(base) as response:
            error = (await response.json())["error"]
        assert (response.status, error["param"]) == (400, "start")
        assert "are kept" in error["message"]


async def test_the_live_edge_of_a_format_that_nobody_heard_yet_is_the_songs() -> None:
    """Not its start: what was before is made, since the encode begins there, and is not sent."""
    async with bench(speed=4.0) as gateway:
        stream_id = await order(gateway)
        async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.mp3") as response:
            await response.content.readexactly(72_000)  # three seconds at 192 kbit/s
            async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.pcm?since=1") as live:
                late = decoded(await live.read(), "pcm")
        assert 0.5 <= late.shape[1] / 48000 <= 3.2


@pytest.mark.parametrize(
    ("query", "param", "word"),
    [
        ("audio.ogg?rate=44100", "format.sample_rate", "48000"),
        ("audio.pcm?channels=6", "format.channels", "1 or 2"),
        ("audio.flac?bitrate=1", "format.bitrate", "no bitrate"),
        ("audio.midi", "format", "webm"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_can(query: str, param: str, word: str) -> None:
    async with bench() as gateway:
        stream_id = await order(gateway)
        async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/{query}") as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"], error["param"]) == (422, "unsupported_format", param)
            assert word in error["message"]


async def test_full_workers_name_what_can_be_heard() -> None:
    """503 with Retry-After, and the formats that are there; those already being made are still given."""
    async with bench(transcode=Transcode(workers=0, max_encodings=1), speed=1.0) as gateway:
        stream_id = await order(gateway)
        base = f"{gateway.url}/v1/streams/{stream_id}/audio"
        async with gateway.http.get(f"{base}.flac") as first:
            await first.content.readexactly(100)
            refused = 0
            for rate in (8000, 12000, 16000, 24000, 48000):
                async with gateway.http.get(f"{base}.ogg?rate={rate}&bitrate={rate}") as response:
                    if response.status != 503:
                        continue
                    refused += 1
                    error = (await response.json())["error"]
                    assert error["code"] == "transcoding_full"
                    assert "mp3, flac" in error["message"]
                    assert int(response.headers["Retry-After"]) >= 1
            assert refused >= 1
            async with gateway.http.get(f"{base}.flac") as second:
                assert second.status == 200


async def test_a_worker_that_dies_costs_nobody_a_sample() -> None:
    """Killed in the middle, its encode is taken up by the next one: the same samples, no gap, one channel."""
    async with bench(transcode=Transcode(workers=1), speed=2.0) as gateway, talk(gateway) as socket:
        original = decoded(await gateway.original(PROMPT), "mp3")
        await say(socket, type="stream.create", input={"prompt": PROMPT}, format="pcm")
        hearing = asyncio.create_task(hear(socket))
        async with asyncio.timeout(20):
            while not made_of(gateway):  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0)
        for worker in await asyncio.to_thread(workers):
            worker.kill()
        heard = await hearing
        sound = decoded(heard.audio, "pcm")
        assert sound.shape == original.shape
        assert np.abs(sound - original).max() <= 1.01 / 32768
        assert not [message for message in heard.messages if message["type"] == "stream.gap"]


def made_of(gateway: Bench) -> bool:
    """Whether a format that is not the provider's has begun to sound."""
    streams = gateway.gateway.hub.streams
    return any(channel.end > 3 for stream in streams for channel in stream.renditions if channel is not stream.native)


class Worker:
    """A codec worker of this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def workers() -> list[Worker]:
    """The children of this process that encode."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            command = (path / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"transcode.worker" in command:
            found.append(Worker(int(path.name)))
    assert found, "there is a worker"
    return found
