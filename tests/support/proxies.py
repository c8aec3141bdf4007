"""nginx and HAProxy in front of gateways, run from the very files in deploy/proxy, on free ports of loopback.

Only names, addresses, ports and paths are put in place of those in the files, and what a test changes on purpose;
each of them must have been there. Invariant: a proxy answers when it is handed out, and is gone when its context is
left. It must not know what is asked through it.
"""

import asyncio
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import PATIENCE, Bench

DEPLOY = ROOT / "deploy/proxy"
NGINX = ("nginx.conf", "wavegate.conf", "locations.conf", "server.conf", "plain.conf", "hls-cache.conf")
# Others may take a port between our look and the proxy's start.
TRIES = 5

Changes = Sequence[tuple[str, str]]
Need = Callable[[str], str]


@dataclass
class Behind:
    """A gateway as a proxy knows it: host:port of its two ports."""

    public: str
    internal: str = "127.0.0.1:9"

    @classmethod
    def of(cls, bench: Bench) -> "Behind":
        return cls(urlsplit(bench.url).netloc, urlsplit(bench.internal).netloc)


@dataclass
class Front:
    """A running proxy: its two addresses as URLs, and what trusts its certificate."""

    name: str
    plain: str
    secure: str
    trust: ssl.SSLContext
    program: Program
    folder: Path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        file = self.folder / "access.log"
        return self.program.said + (file.read_text() if file.exists() else "")


def changed(text: str, changes: Changes) -> str:
    """The text with each of these put in place of what was there, wherever it was."""
    for old, new in changes:
        assert old in text, f"there is no {old!r} any more"
        text = text.replace(old, new)
    return text


def certificate(openssl: str, folder: Path) -> tuple[Path, Path]:
    """A certificate for music.example.com and 127.0.0.1, and its key."""
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    wanted = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    named = ("-subj", "/CN=music.example.com", "-addext", "subjectAltName=DNS:music.example.com,IP:127.0.0.1")
    made = subprocess.run(
        [openssl, *wanted, *named, "-keyout", key, "-out", chain], check=False, capture_output=True, timeout=PATIENCE
    )
    assert made.returncode == 0, made.stderr.decode()
    return chain, key


def nginx_files(folder: Path, gateways: Sequence[Behind], ports: tuple[int, int], changes: Changes = ()) -> list[str]:
    """The files of deploy/proxy/nginx for this folder, and the arguments that start nginx with them."""
    text = {name: (DEPLOY / "nginx" / name).read_text(encoding="utf-8") for name in NGINX}
    plain, secure = ports
    here: dict[str, Changes] = {
        "nginx.conf": [
            ("/tmp/", f"{folder}/"),
            ("include wavegate/plain.conf;", "include wavegate/plain.conf;\n    include wavegate/server.conf;"),
            ("worker_rlimit_nofile 65536;", "worker_rlimit_nofile 8192;"),
            ("worker_connections 32768;", "worker_connections 4096;"),
            ("worker_shutdown_timeout 30m;", "worker_shutdown_timeout 5s;"),
        ],
        "wavegate.conf": [
            ("server gateway-1:8080 ", f"server {gateways[0].public} "),
            ("server gateway-2:8080 ", f"server {gateways[1].public} "),
        ],
        "server.conf": [
            ("listen 443 ", f"listen 127.0.0.1:{secure} "),
            ("    listen [::]:443 ssl http2 sndbuf=256k;\n", ""),
            ("listen 80;", f"listen unix:{folder}/80;"),
            ("    listen [::]:80;\n", ""),
            ("/etc/ssl/wavegate/", f"{folder}/"),
            ("/var/log/nginx/wavegate.log", f"{folder}/access.log"),
        ],
        "plain.conf": [
            ("listen 8080 ", f"listen 127.0.0.1:{plain} "),
            ("/dev/stdout", f"{folder}/access.log"),
        ],
        "hls-cache.conf": [],
        "locations.conf": [],
    }
    (folder / "wavegate").mkdir(exist_ok=True)
    whole = "".join(text.values())
    for old, _ in changes:
        assert old in whole, f"there is no {old!r} any more"
    for name in NGINX:
        written = changed(text[name], here[name])
        for old, new in changes:
            written = written.replace(old, new)
        place = folder if name == "nginx.conf" else folder / "wavegate"
        (place / name).write_text(written, encoding="utf-8")
    # Its workers would be somebody who may not enter this folder.
    rights = ["-g", "user root;"] if os.geteuid() == 0 else []
    return ["-p", f"{folder}/", "-c", f"{folder}/nginx.conf", *rights]


def haproxy_files(folder: Path, gateways: Sequence[Behind], ports: tuple[int, int], changes: Changes = ()) -> list[str]:
    """deploy/proxy/haproxy/haproxy.cfg for this folder, and the arguments that start HAProxy with it."""
    text = (DEPLOY / "haproxy/haproxy.cfg").read_text(encoding="utf-8")
    plain, secure = ports
    pem = folder / "both.pem"
    pem.write_bytes((folder / "fullchain.pem").read_bytes() + (folder / "privkey.pem").read_bytes())
    here = [
        ("bind :80\n", f"bind 127.0.0.1:{plain}\n"),
        ("bind :443 ssl crt /etc/haproxy/certs/music.example.com.pem", f"bind 127.0.0.1:{secure} ssl crt {pem}"),
        ("maxconn 65536 ", "maxconn 2000 "),
        ("hard-stop-after 30m", "hard-stop-after 5s"),
    ]
    for number, gateway in enumerate(gateways, 1):
        port = gateway.internal.rpartition(":")[2]
        name = f"server gateway-{number} gateway-{number}:8080"
        here.append((f"{name}\n", f"server gateway-{number} {gateway.public} port {port}\n"))
        here.append((f"{name} track", f"server gateway-{number} {gateway.public} track"))
    file = folder / "haproxy.cfg"
    file.write_text(changed(changed(text, here), changes), encoding="utf-8")
    return ["-db", "-f", str(file)]


FILES = {"nginx": nginx_files, "haproxy": haproxy_files}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has at the moment, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@asynccontextmanager
async def front(
    name: str, need: Need, folder: Path, gateways: Sequence[Behind], changes: Changes = ()
) -> AsyncIterator[Front]:
    """One that answers; `name` is nginx or haproxy, and there are two gateways behind it."""
    program, openssl = need(name), need("openssl")
    chain, _ = await asyncio.to_thread(certificate, openssl, folder)
    trust = ssl.create_default_context(cafile=chain)
    for attempt in range(1, TRIES + 1):
        plain, secure = free_ports(2)
        arguments = await asyncio.to_thread(FILES[name], folder, gateways, (plain, secure), changes)
        running = await Program.start(program, *arguments)
        try:
            # A port may be somebody else's by now, who answers; the socket in its own folder is nobody's but its own.
            places: list[int | Path] = [plain, secure, *([folder / "80"] if name == "nginx" else [])]
            if not await _answers(running, places):
                assert attempt < TRIES, running.said
                continue
            yield Front(name, f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}", trust, running, folder)
            return
        finally:
            await running.stop()


async def _answers(program: Program, places: Sequence[int | Path]) -> bool:
    """Whether it takes connections; false if it has ended instead, as it does when a port is taken."""
    ended = asyncio.ensure_future(program.ends(PATIENCE))
    try:
        async with asyncio.timeout(PATIENCE):
            for place in places:
                while not await _open(place):
                    if ended.done():
                        return False
                    await asyncio.sleep(0.01)  # it tells nobody when it is ready but by answering
        return not ended.done()
    finally:
        ended.cancel()
        with suppress(asyncio.CancelledError, AssertionError):
            await ended


async def _open(place: int | Path) -> bool:
    """Whether somebody answers at this port, or socket."""
    with suppress(OSError):
        if isinstance(place, Path):
            _, writer = await asyncio.open_unix_connection(place)
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", place)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
    return False


@asynccontextmanager
async def stub(answer: Callable[[bytes], Awaitable[bytes] | bytes]) -> AsyncIterator[Behind]:
    """A gateway that is none: each head that comes is given to `answer`; what that returns is sent, and all is over."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            said = answer(await reader.readuntil(b"\r\n\r\n"))
            writer.write(said if isinstance(said, bytes) else await said)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Behind(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        await server.wait_closed()
