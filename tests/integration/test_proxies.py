"""nginx and HAProxy in front of two gateways, with the files of deploy/proxy: sound over every door, to the byte.

Invariant under test: a proxy holds nothing back, waits as long as a gateway may, passes on the slowness of a slow
listener, and changes no byte. It looks at what clients hear, and at the gateways' own counts.
"""

import asyncio
import hashlib
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from gateway.config.server import Server
from tests.house.programs import Program
from tests.support.gateway import KEY, PATIENCE, hear, say
from tests.support.guests import anybody, mint
from tests.support.proxied import House, each, houses
from tests.support.union import soon

Need = Callable[[str], str]


async def test_every_door_gives_the_same_bytes(need: Need, tmp_path: Path) -> None:
    """As they come, over WebSocket and over HTTP that breaks off and goes on; parts, clips, and no secrets."""
    server = Server(port=0, internal_port=0, trusted_proxies=["127.0.0.1"])
    async with houses(need, tmp_path, server=server) as found:
        await each(found, nothing_is_held_back)
        await each(found, the_same_bytes_everywhere)
        await each(found, partial(over_http2, need("curl")))
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
    assert song["urls"]["audio"] == address, "the gateway knows how it was asked"
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


async def over_http2(curl: str, here: House) -> None:
    """What browsers speak to a proxy with TLS; the gateway itself speaks HTTP/1.1."""
    prompt = "[[scale seconds=2 speed=4]] a scale over one of many streams"
    song = await here.create(prompt)
    arguments = (
        "-sS",
        "--http2",
        "--cacert",
        here.proxy.folder / "fullchain.pem",
        "-H",
        f"Authorization: Bearer {KEY}",
    )
    program = await Program.start(
        curl, *arguments, "-w", "%{stderr}HTTP/%{http_version}", f"{here.url}/v1/streams/{song['id']}/audio.mp3"
    )
    try:
        assert await program.ends(PATIENCE) == 0, program.stderr
    finally:
        await program.stop()
    assert (bytes(program.stderr), bytes(program.stdout)) == (b"HTTP/2", await here.original(prompt))


async def nothing_is_told(here: House) -> None:
    """What is for operators is not there, and the log has no query, for tickets stand in it."""
    for path in ("/metrics", "/healthz", "/readyz", "/debug/streams"):
        async with here.http.get(f"{here.url}{path}?ticket=wt_secret") as response:
            assert response.status == 404
    await soon(lambda: "/debug/streams" in here.proxy.log)
    assert "wt_secret" not in here.proxy.log


async def who_reads_nothing_fills_no_proxy(here: House) -> None:
    """Of a song of 11 MB only what buffers take leaves the gateway; the rest comes, to the byte, when it is read."""
    song = await here.create("[[scale seconds=60 speed=0]] far more than sockets hold", format="wav")
    channel = here.channel(song["id"])
    await soon(lambda: channel.outcome is not None)
    address = urlsplit(f"{here.url}/v1/streams/{song['id']}/audio.wav")
    async with here.http.get(address.geturl()) as response:
        whole = await response.read()

    def sent() -> int:
        """Octets of this song that have left a gateway for its listener."""
        lines = [line for node in here.nodes for line in node.gateway.connections]
        hearing = [one for line in lines for one in line.listeners if one.channel.rendition.stream_id == song["id"]]
        return sum(len(chunk.payload) for one in hearing for chunk in one.channel.retained if chunk.seq < one.next)

    await soon(lambda: not sent())
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=here.proxy.trust, server_hostname=address.hostname, limit=4096
    )
    try:
        writer.write(f"GET {address.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        await soon(sent)
        before, same = -1, 0
        async with asyncio.timeout(PATIENCE):
            while same < 10:  # half a second in which nothing moves
                now = sent()
                before, same = now, same + 1 if now == before else 0
                await asyncio.sleep(0.05)
        # nginx cannot say how much the kernel may keep of what comes from a gateway: net.ipv4.tcp_rmem does.
        assert before < (8_000_000 if here.proxy.name == "nginx" else 2_000_000), before
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            late = await reader.readexactly(len(whole))
    finally:
        writer.transport.abort()
    assert hashlib.sha256(late).digest() == hashlib.sha256(whole).digest()
    assert len(whole) > 10_000_000


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


async def test_the_proxy_protocol_takes_the_place_of_headers(need: Need, tmp_path: Path) -> None:
    """HAProxy as its last comment says: every door still opens, and without the header nobody would."""
    said = [
        ("default-server check port ", "default-server send-proxy-v2 check port "),
        (" track wavegate/", " send-proxy-v2 track wavegate/"),
        ("option forwardfor ", "# "),
    ]
    server = Server(port=0, internal_port=0, trusted_proxies=["127.0.0.1"], proxy_protocol=True)
    async with houses(need, tmp_path, {"haproxy": said}, server=server) as found:
        plain, here = found
        assert (plain.proxy.name, here.proxy.name) == ("nginx", "haproxy")
        prompt = "[[scale seconds=1 speed=0]] a small song for two doors"
        song = await here.create(prompt)
        async with here.http.get(f"{here.url}/v1/streams/{song['id']}/audio.mp3") as response:
            assert (response.status, await response.read()) == (200, await here.original(prompt))
        async with here.talk() as line:
            await say(line, type="stream.attach", stream_id=song["id"])
            assert (await hear(line)).audio == await here.original(prompt)
        # nginx says no PROXY header, and is from where one has to be said.
        async with plain.http.get(f"{plain.url}/v1/streams") as response:
            assert response.status == 503
        assert "is DOWN" not in here.proxy.log, "health is asked for without it"
