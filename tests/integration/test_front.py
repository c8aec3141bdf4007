"""The public port under TLS, and behind proxies: every door, every framing, and clients that do not read.

Whole gateways in the test's own loop, on asyncio's and on uvloop. Invariant under test: what is heard is the provider's
song, octet for octet, as without TLS; addresses that clients are given are those that they can use.
"""

import asyncio
import hashlib
import json
import re
import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography import x509
from websockets.asyncio.client import connect

from gateway.app import Gateway
from gateway.client import Client, Kind
from gateway.config.schema import Config, Quota, Relay, Transcode
from gateway.config.server import Server
from gateway.errors import StartError
from gateway.protocol.frames import unpack
from gateway.server.transport import SocketTransport
from tests.support.certificates import Authority
from tests.support.gateway import KEY, Bench, bench
from tests.support.server import soon

BOTH = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
SONG = "[[scale seconds=5 speed=20]] a scale to be heard by everybody"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def secured(authority: Authority, **sections: Any) -> AsyncIterator[tuple[Bench, aiohttp.ClientSession]]:
    """A gateway under TLS, and a client who trusts it."""
    server = Server(port=0, internal_port=0, **authority.issue().config(), **sections.pop("server", {}))
    connector = aiohttp.TCPConnector(ssl=authority.trusted, limit=0)
    async with (
        bench(server=server, **sections) as running,
        aiohttp.ClientSession(connector=connector, headers=HEADERS, timeout=aiohttp.ClientTimeout(30)) as http,
    ):
        assert running.url.startswith("https://127.0.0.1:")
        assert running.internal.startswith("http://127.0.0.1:")
        running.http = http
        yield running, http


async def whole(http: aiohttp.ClientSession, url: str, **headers: str) -> bytes:
    async with http.get(url, headers=headers) as response:
        assert response.status in (200, 206), await response.text()
        return await response.read()


async def framed(running: Bench, authority: Authority, stream_id: str, framing: str) -> bytes:
    """The song by a WebSocket in this framing."""
    heard = b""
    url = f"wss{running.url.removeprefix('https')}/v1/ws"
    async with connect(url, ssl=authority.trusted, additional_headers=HEADERS, compression=None) as socket_:
        await socket_.send(json.dumps({"type": "stream.attach", "stream_id": stream_id, "framing": framing}))
        async with asyncio.timeout(30):
            while True:
                message = await socket_.recv()
                if isinstance(message, bytes):
                    heard += unpack(message)[1] if framing == "framed" else message
                    continue
                said = json.loads(message)
                if said["type"] == "audio.delta":
                    heard += b64decode(said["data"])
                elif said["type"] == "stream.completed":
                    assert said["sha256"] == hashlib.sha256(heard).hexdigest()
                    return heard


@BOTH
async def test_every_door_is_open_under_tls(authority: Authority) -> None:
    """REST, progressive bodies, ranges, HLS, the page, three framings, the client library; the addresses say so."""
    async with secured(authority) as (running, http):
        info = await running.create(SONG)
        assert info["urls"]["audio"].startswith(f"{running.url}/v1/streams/")
        assert info["urls"]["hls"].startswith(f"{running.url}/v1/streams/")
        assert info["urls"]["ws"] == f"wss{running.url.removeprefix('https')}/v1/ws"
        song, *others = await asyncio.gather(
            whole(http, info["urls"]["audio"]),
            *(framed(running, authority, info["id"], framing) for framing in ("framed", "raw", "json")),
        )
        assert len(song) > 50_000
        assert [one == song for one in others] == [True] * 3
        async with http.get(info["urls"]["audio"], headers={"Range": "bytes=1000-1999"}) as response:
            assert (response.status, await response.read()) == (206, song[1000:2000])
        playlist = ""
        async with asyncio.timeout(30):
            while "#EXT-X-ENDLIST" not in playlist:
                playlist = (await whole(http, info["urls"]["hls"])).decode()
        names = re.findall(r"^\d+\.m4s$", playlist, re.MULTILINE)
        assert len(names) >= 4
        base = info["urls"]["hls"].removesuffix("index.m3u8")
        pieces = [await whole(http, base + name) for name in ("init.mp4", *names)]
        assert b"ftyp" in pieces[0][:12]
        assert b"<html" in (await whole(http, running.url + "/")).lower()


@BOTH
async def test_a_client_that_does_not_read_is_cut_under_tls_too(authority: Authority) -> None:
    """It is noticed as soon as its socket takes no more, holds little here, and costs nobody else anything."""
    relay = Relay(stall_timeout=0.3)
    async with secured(authority, relay=relay) as (running, http):
        info = await running.create("[[scale seconds=60 speed=100]] a scale that is large as a wave", format="wav")
        _, writer = await asyncio.open_connection(
            sock=small(running), ssl=authority.trusted, server_hostname="127.0.0.1"
        )
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # its transport reads
        path = info["urls"]["audio"].removeprefix(running.url)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        connections, mine = running.gateway.connections, writer.get_extra_info("sockname")
        async with asyncio.timeout(30):
            heard = asyncio.create_task(whole(http, info["urls"]["audio"]))
            await soon(lambda: any(not one.writable and peer(one) == mine for one in connections))
            (stalled,) = [one for one in connections if peer(one) == mine]
            assert stalled.sink.get_write_buffer_size() < 64 * 1024
            assert len(await heard) > 2_000_000
            await soon(lambda: len(connections) == 0)
        writer.transport.abort()


def peer(connection: SocketTransport) -> object:
    """The client's address and port."""
    return connection.sink.get_extra_info("peername")


def small(running: Bench) -> socket.socket:
    """A socket that takes little; it is connected."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", int(running.url.rpartition(":")[2])))
    made.setblocking(False)
    return made


@BOTH
async def test_one_that_reads_slowly_hears_every_octet(authority: Authority) -> None:
    """A WebSocket that stops in the middle for a while, under TLS: what it lacks is sent when it reads again."""
    async with secured(authority) as (running, _):
        info = await running.create("[[scale seconds=30 speed=100]] a scale that is large as a wave", format="wav")
        url, heard = f"wss{running.url.removeprefix('https')}/v1/ws", hashlib.sha256()
        async with connect(
            url,
            sock=small(running),
            ssl=authority.trusted,
            server_hostname="127.0.0.1",
            additional_headers=HEADERS,
            compression=None,
            max_queue=1,
        ) as socket_:
            attach = {"type": "stream.attach", "stream_id": info["id"], "framing": "raw", "format": "wav"}
            await socket_.send(json.dumps(attach))
            connections = running.gateway.connections
            async with asyncio.timeout(30):
                await soon(lambda: any(one.stalled_since is not None for one in connections))
                while True:
                    message = await socket_.recv()
                    if isinstance(message, bytes):
                        heard.update(message)
                    elif (said := json.loads(message))["type"] == "stream.completed":
                        assert said["sha256"] == heard.hexdigest()
                        assert said["bytes"] > 2_000_000
                        break


@BOTH
async def test_the_client_library_hears_under_tls(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It trusts what the machine trusts, which here is told by the environment, as OpenSSL has it."""
    bundle = tmp_path / "trusted.pem"
    authority.write_trusted(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with secured(authority) as (running, _):
        heard = hashlib.sha256()
        async with Client(running.url, key=KEY) as client:
            song = await client.create(prompt=SONG, format="mp3")
            async with song:
                async for frame in song:
                    if frame.header.kind is Kind.AUDIO:
                        heard.update(frame.payload)
            assert song.sha256 == heard.hexdigest()


async def test_a_certificate_is_replaced_while_somebody_listens(authority: Authority) -> None:
    """Who is there hears on; whoever connects from then on sees the new one; a bad one changes nothing."""

    async def shown(port: int) -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.trusted)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    async with secured(authority) as (running, http):
        config, port = running.gateway._config, int(running.url.rpartition(":")[2])
        info = await running.create("[[scale seconds=4 speed=4]] a scale to be heard by everybody")
        heard = asyncio.create_task(whole(http, info["urls"]["audio"]))
        before = await shown(port)
        papers = authority.issue()
        assert await running.gateway.renew(config)
        after = await shown(port)
        assert after != before
        papers.key.write_text("no key at all")
        assert not await running.gateway.renew(config)
        assert await shown(port) == after
        assert hashlib.sha256(await heard).digest() == hashlib.sha256(await whole(http, info["urls"]["audio"])).digest()
        async with http.get(running.internal + "/metrics") as response:
            found = re.search(
                r"^wavegate_tls_certificate_expiry_timestamp_seconds (\S+)$", await response.text(), re.MULTILINE
            )
        assert found is not None
        assert float(found[1]) == end_of(after)


def end_of(der: bytes) -> float:
    """When a certificate ends, as another library reads it."""
    return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()


async def test_files_that_cannot_be_used_are_a_sentence(tmp_path: Path) -> None:
    """Before a port is opened, and nothing is left running."""
    files: dict[str, Any] = {"tls_certificate_file": str(tmp_path / "no.pem"), "tls_key_file": str(tmp_path / "no.key")}
    config = Config(
        server=Server(port=0, internal_port=0, **files), quota=Quota(store="memory:"), transcode=Transcode(workers=0)
    )
    with pytest.raises(StartError, match=r"no\.pem is not there"):
        await Gateway(config, "sk-test").__aenter__()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# -- proxies -----------------------------------------------------------------------------------------------------------


async def test_behind_a_proxy_addresses_are_those_of_the_proxy() -> None:
    """Of StreamInfo at every door, and of the page that may ask; of others' words none counts."""
    forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "music.example"}
    page = {**forwarded, "Origin": "https://music.example"}
    server = Server(port=0, internal_port=0, trusted_proxies=["127.0.0.1"])
    async with bench(server=server) as running:
        body = {"input": {"prompt": SONG}}
        async with running.http.post(f"{running.url}/v1/streams", json=body, headers=forwarded) as response:
            info = await response.json()
        assert info["urls"]["audio"].startswith("https://music.example/v1/streams/")
        assert info["urls"]["ws"] == "wss://music.example/v1/ws"
        async with connect(running.ws_url, additional_headers={**HEADERS, **forwarded}) as socket_:
            await socket_.recv()
            await socket_.send(json.dumps({"type": "stream.create", "input": {"prompt": SONG}}))
            said = json.loads(await socket_.recv())
            assert said["stream"]["urls"]["ws"] == "wss://music.example/v1/ws"
        # The gateway's own page, as its visitor knows it, may use a ticket.
        async with running.http.post(f"{running.url}/v1/tickets", json={"allow": ["listen"], "uses": 0}) as response:
            ticket = (await response.json())["ticket"]
        async with aiohttp.ClientSession() as http:
            url = f"{running.url}/v1/streams/{info['id']}?ticket={ticket}"
            async with http.get(
                f"{running.url}/v1/streams/{info['id']}/hls/index.m3u8?ticket={ticket}", headers=page
            ) as response:
                assert response.status == 200
            async with http.get(url, headers={**page, "X-Forwarded-Host": "other.example"}) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (403, "origin_forbidden")
            address = f"{running.ws_url}?ticket={ticket}"
            async with connect(address, additional_headers=forwarded, origin="https://music.example") as socket_:  # type: ignore[arg-type]  # an Origin is a str
                assert json.loads(await socket_.recv())["type"] == "session.created"
        # From now on it is a stranger like others.
        config = msgspec.structs.replace(running.gateway._config, server=Server())
        running.gateway.reload(config)
        async with running.http.get(f"{running.url}/v1/streams/{info['id']}", headers=forwarded) as response:
            assert (await response.json())["urls"]["audio"].startswith(running.url)


async def test_players_behind_one_proxy_are_told_apart(authority: Authority) -> None:
    """Each counts as one listener, by its own address; a header that one of them forges is the proxy's to judge."""
    server = Server(port=0, internal_port=0, trusted_proxies=["127.0.0.1"])
    async with bench(server=server) as running:
        info = await running.create("[[scale seconds=30 speed=10]] a scale to be heard by everybody")
        for said in ("203.0.113.1", "203.0.113.2", "198.51.100.9, 203.0.113.2"):
            await whole(running.http, info["urls"]["hls"], **{"X-Forwarded-For": said, "User-Agent": "one"})
        assert len(running.gateway._playbacks) == 2


async def test_a_proxy_in_front_of_tls(authority: Authority) -> None:
    """Both at once: the PROXY header first, then the handshake, then the song; and health checks have no client."""
    trusted, papers = ["127.0.0.1"], authority.issue().config()
    server = Server(port=0, internal_port=0, trusted_proxies=trusted, proxy_protocol=True, **papers)
    async with bench(server=server) as running, asyncio.timeout(30):
        port = int(running.url.rpartition(":")[2])
        for header in (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", b"PROXY UNKNOWN\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(header)
            await writer.start_tls(authority.trusted, server_hostname="127.0.0.1")
            request = f"GET /v1/streams HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            assert b'"streams":[]' in await reader.read()
            writer.close()
