"""Live HLS on real sockets: ffmpeg as a player, fifty players at once, songs that break, and what is counted.

Invariant under test: what players join together is audio.mp4 of the same stream, to the sample; a player is one
listener from its first request until it is silent.
"""

import asyncio
import hashlib
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.config.schema import Config, Limits, Relay, Tenant, Transcode
from gateway.config.secret import key_hash
from gateway.server.hls import sessions
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, Bench, bench
from tests.support.guests import anybody, mint

SCALE = "[[scale seconds=4 speed=2 wait=1]] a scale that players fetch piece by piece"
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

BRIEF = "[[scale seconds=4 speed=20]] a scale that players fetch piece by piece"
LONG = "[[scale seconds=60 speed=4]] a scale that players fetch piece by piece"


async def run(program: str, *arguments: str) -> tuple[bytes, str]:
    """What a program says on its two outputs."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out, err.decode()


async def fetch(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    async with http.get(url, headers=headers) as response:
        return response.status, await response.read(), response.headers


async def listing(gateway: Bench, url: str, **headers: str) -> list[tuple[float, str]]:
    """Seconds and URI of each segment of a playlist that has ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status, body, _ = await fetch(gateway.http, url, **headers)
            lines = body.decode().splitlines()
            assert status == 200, body
            if lines[-1] == "#EXT-X-ENDLIST":
                break
            await asyncio.sleep(0.02)  # as a player does, which asks again when there may be more
    seconds = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
    return list(zip(seconds, [line for line in lines if not line.startswith("#")], strict=True))


async def until(gateway: Bench, stream_id: str, **facts: Any) -> dict[str, Any]:
    """The stream's document as soon as it says so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            info = await gateway.info(stream_id)
            if all(info[name] == value for name, value in facts.items()):
                return info
            await asyncio.sleep(0.01)


async def metrics(gateway: Bench) -> dict[str, str]:
    async with gateway.http.get(f"{gateway.internal}/metrics") as response:
        lines = (await response.text()).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


async def test_ffmpeg_hears_the_whole_song_while_it_is_made(need: Callable[[str], str], tmp_path: Path) -> None:
    """Its sound is that of audio.mp4 of the same stream, sample for sample; a ticket for one use is enough.

    Each segment behind the init is a file of its own, that lasts as long as the playlist says, and begins where the
    one before it ended.
    """
    ffmpeg, ffprobe = need("ffmpeg"), need("ffprobe")
    async with bench() as gateway:
        stream = await gateway.create(SCALE)
        url = stream["urls"]["hls"]
        assert url == f"{gateway.url}/v1/streams/{stream['id']}/hls/index.m3u8"
        ticket = await mint(gateway, stream_id=stream["id"], uses=1)
        playing = asyncio.create_task(run(ffmpeg, "-v", "error", "-i", f"{url}?ticket={ticket}", "-f", "s16le", "-"))
        assert (await until(gateway, stream["id"], listeners=1))["status"] == "running"
        sound, complaints = await playing
        assert complaints == ""
        _, file, _ = await fetch(gateway.http, url.replace("hls/index.m3u8", "audio.mp4"))
        path = tmp_path / "song.mp4"
        path.write_bytes(file)
        assert (await run(ffmpeg, "-v", "error", "-i", str(path), "-f", "s16le", "-"))[0] == sound
        assert len(sound) / 4 / 48000 == pytest.approx(4.0, abs=0.1)

        listed = await listing(gateway, url)
        base = url.removesuffix("index.m3u8")
        _, init, _ = await fetch(gateway.http, f"{base}init.mp4")
        begin, joined = 0.0, init
        for number, (seconds, uri) in enumerate(listed):
            _, body, _ = await fetch(gateway.http, base + uri)
            joined += body
            path.write_bytes(init + body)
            out, complaints = await run(
                ffprobe, "-v", "error", "-show_entries", "packet=pts,duration", "-of", "csv=p=0", str(path)
            )
            assert complaints == ""
            packets = [line.split(",") for line in out.decode().splitlines()]
            assert int(packets[0][0]) == round(begin * 48000) - (1024 if number == 0 else 0)
            if number < len(listed) - 1:
                assert len(packets) == 45
                assert int(packets[-1][0]) + int(packets[-1][1]) == round((begin + seconds) * 48000)
            begin += seconds
        assert joined == file
        # A decoder plays the padding behind the song's end, which is less than a frame; the playlist tells the song.
        assert 0 <= len(sound) / 4 - begin * 48000 <= 1025


async def play(gateway: Bench, http: aiohttp.ClientSession, url: str, agent: str) -> tuple[str, int]:
    """A player that fetches all: the hash of what it has, and how many bytes of it were segments."""
    base, seen, digest, size = url.removesuffix("index.m3u8"), 0, hashlib.sha256(), 0
    while True:
        status, body, _ = await fetch(http, url, **{"User-Agent": agent})
        assert status == 200, body
        uris = [line for line in body.decode().splitlines() if not line.startswith("#")]
        for uri in uris[seen:]:
            status, segment, _ = await fetch(http, base + uri, **{"User-Agent": agent})
            assert status == 200
            digest.update(segment)
            size += len(segment)
        seen = len(uris)
        if body.endswith(b"#EXT-X-ENDLIST\n"):
            return digest.hexdigest(), size
        await asyncio.sleep(0.05)


async def test_fifty_players_are_fifty_listeners_of_one_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the same bytes; they are counted while they are there, in the document, the metrics and the ledger."""
    async with bench(limits=Limits(listeners=50)) as gateway:
        stream = await gateway.create(SCALE)
        url = stream["urls"]["hls"]
        players = [asyncio.create_task(play(gateway, gateway.http, url, f"player {n}")) for n in range(50)]
        await until(gateway, stream["id"], listeners=50)
        late = await fetch(gateway.http, url, **{"User-Agent": "one too many"})
        assert (late[0], msgspec.json.decode(late[1])["error"]["code"]) == (429, "concurrency_exceeded")
        heard = await asyncio.gather(*players)
        assert len({digest for digest, _ in heard}) == 1
        said = await metrics(gateway)
        assert float(said['wavegate_listeners{codec="aac",transport="hls"}']) == 50
        sent = sum(size for _, size in heard)
        assert float(said['wavegate_egress_bytes_total{codec="aac",transport="hls"}']) == sent
        assert float(said['wavegate_transcode_audio_seconds_total{codec="aac"}']) == pytest.approx(4.0, abs=0.2)
        monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.1)
        info = await until(gateway, stream["id"], listeners=0)
        assert info["status"] == "completed"
        assert float((await metrics(gateway))['wavegate_listeners{codec="aac",transport="hls"}']) == 0
        async with asyncio.timeout(PATIENCE):
            while True:
                async with gateway.http.get(f"{gateway.url}/v1/usage") as response:
                    totals = (await response.json())["totals"]
                if totals["egress_bytes"] == sent:
                    break
                await asyncio.sleep(0.01)
        assert totals["listener_seconds"] > 50


@pytest.mark.parametrize(
    ("fault", "status", "seconds", "tears"),
    [("cut after=3 how=reset", "failed", 3.0, 0), ("garbage after=3 size=9000", "completed", 5.0, 1)],
)
async def test_a_song_that_breaks(
    need: Callable[[str], str], fault: str, status: str, seconds: float, tears: int
) -> None:
    """Broken off, its playlist ends with what came; with sound lost in between it says where, and goes on."""
    async with bench() as gateway:
        stream = await gateway.create(f"[[scale {fault} seconds=5 speed=10]] a scale that does not come whole")
        url = stream["urls"]["hls"]
        header = f"Authorization: Bearer {KEY}\r\n"
        playing = run(need("ffmpeg"), "-v", "error", "-headers", header, "-i", url, "-f", "s16le", "-")
        (sound, complaints), listed = await asyncio.gather(playing, listing(gateway, url))
        assert complaints == ""
        await until(gateway, stream["id"], status=status)
        assert sum(length for length, _ in listed) == pytest.approx(seconds, abs=0.15)
        assert len(sound) / 4 / 48000 == pytest.approx(seconds, abs=0.15)
        _, body, _ = await fetch(gateway.http, url)
        assert body.count(b"#EXT-X-DISCONTINUITY\n") == tears
        assert b"#EXT-X-PLAYLIST-TYPE:VOD" in body


async def test_a_song_without_a_sound_says_why() -> None:
    """The provider's refusal is the answer to the playlist, as it is at every door."""
    async with bench() as gateway:
        stream = await gateway.create("[[moderation]] a song that will not be made by anybody")
        status, body, _ = await fetch(gateway.http, stream["urls"]["hls"])
        assert (status, msgspec.json.decode(body)["error"]["code"]) == (422, "content_rejected")


async def test_a_window_that_forgets_the_beginning_says_so() -> None:
    """Of a song that is larger than what is kept of it: no EVENT, and only what can be had is listed."""
    # Whoever converts may be behind by what is kept, and a busy machine is.
    async with bench(relay=Relay(max_stream_bytes=120_000)) as gateway:
        stream = await gateway.create("[[scale seconds=12 speed=3 wait=1]] a scale that is larger than its window")
        url = stream["urls"]["hls"]
        listed = await listing(gateway, url)
        _, body, _ = await fetch(gateway.http, url)
        (first,) = [int(line[22:]) for line in body.decode().splitlines() if line.startswith("#EXT-X-MEDIA-SEQUENCE:")]
        assert first > 0
        assert [uri for _, uri in listed] == [f"{number}.m4s" for number in range(first, first + len(listed))]
        base = url.removesuffix("index.m3u8")
        for _, uri in listed:
            assert (await fetch(gateway.http, base + uri))[0] == 200
        status, refused, _ = await fetch(gateway.http, f"{base}0.m4s")
        assert (status, msgspec.json.decode(refused)["error"]["code"]) == (404, "not_found")


async def test_a_format_that_is_made_again_has_the_same_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A player that paused for long goes on where it was: its segments are the same bytes, with the same tags."""
    idle_seconds = sessions.IDLE_SECONDS
    async with bench(transcode=Transcode(workers=0, keep_seconds=0.1)) as gateway:
        stream = await gateway.create("[[scale seconds=30 speed=3]] a scale that somebody stops listening to")
        base = stream["urls"]["hls"].removesuffix("index.m3u8")
        await fetch(gateway.http, base + "index.m3u8")
        before = [await fetch(gateway.http, f"{base}{number}.m4s") for number in range(3)]
        (source,) = [one for one in gateway.gateway.hub.streams if one.id == stream["id"]]
        monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.1)
        async with asyncio.timeout(PATIENCE):
            while len(list(source.renditions)) > 1:  # noqa: ASYNC110 - housekeeping tells nobody
                await asyncio.sleep(0.05)
        monkeypatch.setattr(sessions, "IDLE_SECONDS", idle_seconds)  # now it waits for what takes its time
        # The last one first: it is waited for, though it is far from the beginning of what has to be made again.
        after = [await fetch(gateway.http, f"{base}{number}.m4s") for number in (2, 1, 0)][::-1]
        assert [(status, body) for status, body, _ in before] == [(status, body) for status, body, _ in after]
        assert [headers["ETag"] for *_, headers in before] == [headers["ETag"] for *_, headers in after]


async def test_a_player_is_enough_to_keep_a_song(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not abandoned while somebody plays it, though nobody holds a connection; when the last is gone, it is."""
    tenants = [Tenant(id="acme", keys=[key_hash(KEY)], abandon="cancel")]
    async with bench(tenants=tenants, transcode=Transcode(workers=0, keep_seconds=0.1)) as gateway:
        stream = await gateway.create(LONG)
        url = stream["urls"]["hls"]
        await fetch(gateway.http, url)
        await asyncio.sleep(2.2)  # the hub looks every second whether anybody listens
        info = await gateway.info(stream["id"])
        assert (info["status"], info["listeners"]) == ("running", 1)
        assert (await fetch(gateway.http, url.replace("index.m3u8", "3.m4s")))[0] == 200
        monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.1)
        info = await until(gateway, stream["id"], status="cancelled")
        assert info["listeners"] == 0


async def test_a_reload_ends_the_players_of_a_key_that_is_gone() -> None:
    """At their next request; a guest of a key that stays goes on."""
    other = Tenant(id="other", keys=[key_hash(OTHER_KEY)])
    before = [Tenant(id="acme", keys=[key_hash(KEY), key_hash("wg_new")]), other]
    async with bench(tenants=before) as gateway, anybody() as http:
        stream = await gateway.create(BRIEF)
        url, ticket = stream["urls"]["hls"], await mint(gateway, key="wg_new", stream_id=stream["id"], uses=1)
        await fetch(gateway.http, url)
        await fetch(http, f"{url}?ticket={ticket}")
        assert (await gateway.info(stream["id"]))["listeners"] == 2
        tenants = [Tenant(id="acme", keys=[key_hash("wg_new")]), other]
        gateway.gateway.reload(Config(tenants=tenants))
        status, body, _ = await fetch(gateway.http, url)
        assert (status, msgspec.json.decode(body)["error"]["code"]) == (401, "bad_credentials")
        assert (await fetch(http, f"{url.replace('index.m3u8', '0.m4s')}?ticket={ticket}"))[0] == 200
        status, body, _ = await fetch(
            gateway.http, f"{gateway.url}/v1/streams/{stream['id']}", Authorization="Bearer wg_new"
        )
        assert msgspec.json.decode(body)["listeners"] == 1


async def test_pages_that_may_read_it() -> None:
    """A page of the tenant's list is let through to all three kinds of files, and no other page is."""
    page, other = "https://play.acme.example", "https://evil.example"
    async with bench(tenants=[Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[page])]) as gateway:
        stream = await gateway.create(BRIEF)
        base, ticket = stream["urls"]["hls"].removesuffix("index.m3u8"), await mint(gateway, uses=1)
        async with anybody() as http:
            for name in ("index.m3u8", "init.mp4", "0.m4s", "index.m3u8"):
                status, _, headers = await fetch(http, f"{base}{name}?ticket={ticket}", Origin=page)
                assert (status, headers["Access-Control-Allow-Origin"]) == (200, page)
                status, _, headers = await fetch(http, f"{base}{name}?ticket={ticket}", Origin=other)
                assert (status, "Access-Control-Allow-Origin" in headers) == (403, False)
                asked = {
                    "Origin": page,
                    "Access-Control-Request-Method": "GET",
                    "Access-Control-Request-Headers": "range",
                }
                async with http.options(base + name, headers=asked) as response:
                    assert response.status == 204
