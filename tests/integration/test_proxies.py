"""nginx and HAProxy in front of two gateways, with the files of deploy/proxy: sound over every door, to the byte.

Invariant under test: a proxy holds nothing back, waits as long as a gateway may, passes on the slowness of a slow
listener, and changes no byte. It looks at what clients hear, and at the gateways' own counts.
"""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from gateway.config.schema import Server
from gateway.relay.channel import Channel
from gateway.relay.stream import Stream
from tests.support.gateway import KEY, PATIENCE, Bench, hear, receive, say
from tests.support.guests import anybody, mint
from tests.support.proxies import Behind, Changes, Front, front
from tests.support.union import soon, union
from transcode.framer import Framer

Need = Callable[[str], str]
PROXIES = ("nginx", "haproxy")


@dataclass
class House:
    """Two gateways, a proxy in front of them, and a tenant's HTTP client that trusts it."""

    nodes: list[Bench]
    proxy: Front
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.proxy.secure

    async def create(self, prompt: str, **input_fields: Any) -> dict[str, Any]:
        body = {"input": {"prompt": prompt, **input_fields}}
        async with self.http.post(f"{self.url}/v1/streams", json=body) as response:
            assert response.status == 201, await response.text()
            document: dict[str, Any] = await response.json()
            return document

    def channel(self, stream_id: str) -> Channel:
        """The provider's own sound at the gateway that bought it."""
        (owner,) = [node.gateway.hub for node in self.nodes if node.gateway.hub.owns(stream_id)]
        (found,) = [stream for stream in owner.streams if stream.id == stream_id]
        assert isinstance(found, Stream)
        return found.native

    async def original(self, prompt: str) -> bytes:
        """The provider's own bytes for this prompt, from the first codec frame on."""
        framer = Framer()
        whole = await self.nodes[0].original(prompt)
        return b"".join([frame.data for frame in framer.feed(whole) + framer.flush()])

    @asynccontextmanager
    async def talk(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """A WebSocket of the tenant, greeted."""
        url = self.url.replace("https", "wss") + "/v1/ws"
        headers = {"Authorization": f"Bearer {KEY}"}
        given = {"ssl": self.proxy.trust, "compression": None, "close_timeout": 0.3, **options}
        async with connect(url, subprotocols=["wavegate.v1"], additional_headers=headers, **given) as line:
            assert (await receive(line))["type"] == "session.created"
            yield line


@asynccontextmanager
async def houses(
    need: Need, folder: Path, changes: Mapping[str, Changes] | None = None, **sections: Any
) -> AsyncIterator[list[House]]:
    """The same two gateways behind each of the proxies; `changes` to its files by its name."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with union(need("redis-server"), **sections) as nodes, AsyncExitStack() as stack:
        gateways = [Behind.of(node) for node in nodes.nodes]
        found = []
        for name in PROXIES:
            place = folder / name
            place.mkdir()
            proxy = await stack.enter_async_context(front(name, need, place, gateways, (changes or {}).get(name, ())))
            lines = aiohttp.TCPConnector(ssl=proxy.trust)
            time = aiohttp.ClientTimeout(PATIENCE)
            session = aiohttp.ClientSession(headers=headers, connector=lines, timeout=time)
            found.append(House(nodes.nodes, proxy, await stack.enter_async_context(session)))
        yield found


async def each(found: list[House], check: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """The check, behind all of them at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for one in found:
            tasks.create_task(check(one), name=one.proxy.name)


async def test_every_door_gives_the_same_bytes(need: Need, tmp_path: Path) -> None:
    """As they come, over WebSocket and over HTTP that breaks off and goes on; parts, clips, and no secrets."""
    async with houses(need, tmp_path) as found:
        await each(found, nothing_is_held_back)
        await each(found, the_same_bytes_everywhere)
        await each(found, nothing_is_told)
        await each(found, who_reads_nothing_fills_no_proxy)


async def nothing_is_held_back(here: House) -> None:
    """The provider falls silent in the middle of a song: by then a listener has every byte that the gateway has."""
    song = await here.create("[[scale stall seconds=6 speed=0 after=2 silence=1.5]] a song with a rest in it")
    async with here.http.get(f"{here.url}/v1/streams/{song['id']}/audio.mp3") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "audio/mpeg")
        channel, heard = here.channel(song["id"]), b""
        await soon(lambda: channel.size > 10_000)
        async with asyncio.timeout(PATIENCE):
            while len(heard) < channel.size:
                heard += await response.content.readany()
        assert channel.outcome is None, "the song is still made"
        heard += await response.read()
    assert heard == await here.original("[[scale seconds=6 speed=0]] a song")


async def the_same_bytes_everywhere(here: House) -> None:
    """A song that is made while it is heard, and is asked for again when it is whole."""
    prompt = "[[scale seconds=3 speed=6]] a scale heard through many doors"
    song = await here.create(prompt)
    address = f"{here.url}/v1/streams/{song['id']}/audio.mp3"
    async with here.talk() as line:
        await say(line, type="stream.attach", stream_id=song["id"])
        begun = await _broken_off(here.http, address)
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(hear(line))
            async with here.http.get(address, headers={"Range": f"bytes={len(begun)}-"}) as response:
                assert response.status == 206
                resumed = await response.read()
    original, heard = await here.original(prompt), hearing.result()
    assert heard.audio == original
    assert heard.named("stream.completed")["sha256"] == hashlib.sha256(original).hexdigest()
    assert heard.seqs == list(range(len(heard.seqs)))
    assert begun + resumed == original
    for first, last in ((0, 0), (1000, 1999), (len(original) - 5, len(original) - 1)):
        async with here.http.get(address, headers={"Range": f"bytes={first}-{last}"}) as response:
            assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(original)}"
            assert (response.status, await response.read()) == (206, original[first : last + 1])
    async with here.http.get(f"{here.url}/v1/streams/{song['id']}/clip.wav?start=1&duration=1") as response:
        assert (response.status, (await response.read())[:4]) == (200, b"RIFF")


async def _broken_off(http: aiohttp.ClientSession, address: str) -> bytes:
    """The first bytes of a song; then the connection is cut."""
    async with http.get(address) as response:
        begun = await response.content.readexactly(5000)
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
    return begun


async def nothing_is_told(here: House) -> None:
    """What is for operators is not there, and the log has no query, for tickets stand in it."""
    for path in ("/metrics", "/healthz", "/readyz", "/debug/streams"):
        async with here.http.get(f"{here.url}{path}?ticket=wt_secret") as response:
            assert response.status == 404
    await soon(lambda: "/debug/streams" in here.proxy.log)
    assert "wt_secret" not in here.proxy.log


async def who_reads_nothing_fills_no_proxy(here: House) -> None:
    """Of a song of 4.6 MB less than 2 leave the gateway; the rest comes, to the byte, when it is read."""
    song = await here.create("[[scale seconds=24 speed=0]] far more than sockets hold", format="wav")
    channel = here.channel(song["id"])
    await soon(lambda: channel.outcome is not None)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    address = urlsplit(here.url)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))

    def sent() -> int:
        """Octets of this song that have left a gateway for its listener."""
        lines = [line for node in here.nodes for line in node.gateway.connections]
        hearing = [one for line in lines for one in line.listeners if one.channel.rendition.stream_id == song["id"]]
        return sum(len(chunk.payload) for one in hearing for chunk in one.channel.retained if chunk.seq < one.next)

    async with here.talk(sock=sock, server_hostname="127.0.0.1", max_queue=1) as line:
        await say(line, type="stream.attach", stream_id=song["id"])
        await soon(sent)
        before, same = -1, 0
        async with asyncio.timeout(PATIENCE):
            while same < 10:  # half a second in which nothing moves
                now = sent()
                before, same = now, same + 1 if now == before else 0
                await asyncio.sleep(0.05)
        assert 0 < before < 2_000_000, before
        heard = await hear(line)
    assert hashlib.sha256(heard.audio).hexdigest() == heard.named("stream.completed")["sha256"]
    assert len(heard.audio) == channel.size > 4_000_000


async def test_silence_longer_than_the_time_outs(need: Need, tmp_path: Path) -> None:
    """A song that takes its time to begin is waited for at every door that has sound, and pings keep a WebSocket.

    What the proxies shut after a minute or more they shut after two seconds here; the half hour for sound is as it is.
    """
    brief = {
        "nginx": [(f"_timeout {seconds}s;", "_timeout 2s;") for seconds in (120, 90, 60)],
        "haproxy": [("timeout tunnel 120s ", "timeout tunnel 2s "), ("timeout server 90s\n", "timeout server 2s\n")],
    }
    server = Server(port=0, internal_port=0, ping_interval=0.3, ping_timeout=10.0)
    async with houses(need, tmp_path, brief, server=server) as found:
        await each(found, silence_is_waited_for)


async def silence_is_waited_for(here: House) -> None:
    song = await here.create("[[scale seconds=2 speed=0 wait=3.5]] a song that is long in coming")

    async def fetched(form: str) -> bytes:
        async with here.http.get(f"{here.url}/v1/streams/{song['id']}/audio.{form}") as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async with here.talk(ping_interval=None) as line:
        await say(line, type="stream.attach", stream_id=song["id"])
        assert here.channel(song["id"]).size == 0
        heard, mp3, pcm = await asyncio.gather(hear(line), fetched("mp3"), fetched("pcm"))
    assert heard.audio == mp3 == await here.original("[[scale seconds=2 speed=0]] a song")
    assert len(pcm) > 2 * 4 * 44100


async def test_segments_that_players_share(need: Need, tmp_path: Path) -> None:
    """HLS through both, nginx with its cache: what is joined is audio.mp4, and who has no right has none."""
    kept = [
        ("#   include wavegate/hls-cache.conf;", "include wavegate/hls-cache.conf;"),
        ("#   proxy_cache_path /var/cache/nginx/wavegate ", f"proxy_cache_path {tmp_path}/kept "),
    ]
    async with houses(need, tmp_path, {"nginx": kept}) as found:
        song = await found[0].create("[[scale seconds=4 speed=20]] a scale that players fetch piece by piece")
        for here in found:
            await _fetched_in_pieces(here, song["id"])
        here = found[0]
        shared = await mint(here.nodes[0], stream_id=song["id"], ttl_seconds=600, uses=0)
        segment = f"{here.url}/v1/streams/{song['id']}/hls/1.m4s"

        async def asked(query: str, **headers: str) -> tuple[int, str | None, bytes]:
            async with anybody() as http, http.get(segment + query, headers=headers, ssl=here.proxy.trust) as response:
                return response.status, response.headers.get("X-Cache-Status"), await response.read()

        first, again = await asked(f"?ticket={shared}"), await asked(f"?ticket={shared}")
        assert (first[:2], again[:2]) == ((200, "MISS"), (200, "HIT"))
        assert first[2] == again[2]
        part = await asked(f"?ticket={shared}", Range="bytes=10-19")
        assert part == (206, "HIT", first[2][10:20])
        assert (await asked(""))[0] == 401
        assert (await asked("?ticket=wt_forged"))[0] == 401
        assert (await asked(f"?ticket={shared}", Authorization="Bearer nobody"))[0] == 401
        # Another page is asked for by the gateway, and not by what is kept.
        assert (await asked(f"?ticket={shared}", Origin="https://evil.example"))[0] == 403


async def _fetched_in_pieces(here: House, stream_id: str) -> None:
    base = f"{here.url}/v1/streams/{stream_id}"

    async def get(address: str) -> bytes:
        async with here.http.get(address) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async with asyncio.timeout(PATIENCE):
        while not (playlist := (await get(f"{base}/hls/index.m3u8")).decode()).rstrip().endswith("#EXT-X-ENDLIST"):
            pass
    names = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    assert len(names) >= 4
    pieces = [await get(f"{base}/hls/{name}") for name in ("init.mp4", *names)]
    assert b"".join(pieces) == await get(f"{base}/audio.mp4")
