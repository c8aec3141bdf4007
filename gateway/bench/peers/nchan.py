"""Nchan, the pub/sub module of nginx: one worker process, and a publisher beside it that posts each message to it.

Invariant: its worker is what counts, and what is pinned; the publisher is neither. Messages are posted as
application/octet-stream, which Nchan sends in binary frames; everything else it would send as text.
It must not know what is in a message.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.bench.benches import BenchError
from gateway.bench.peers.launch import folder, free_port, opened, pinned
from gateway.bench.peers.peer import HOST, PATH, Peer, RunningPeer
from gateway.bench.programs import program

PUBLISH_PATH = "/publish"
_MODULE = "ngx_nchan_module.so"
_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules", "/etc/nginx/modules")
_PLACES = "/usr/sbin:/usr/local/sbin"  # where a user's PATH may not lead
_READY_SECONDS = 20.0

_CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
pid {place}/pid;
error_log stderr error;
events {{ worker_connections 32768; multi_accept on; }}
http {{
    access_log off;
    client_body_buffer_size 1m;
    client_max_body_size 1m;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    keepalive_requests 1000000;
    server {{
        listen {host}:{port} backlog=4096;
        location = {publish} {{
            nchan_publisher http;
            nchan_channel_id live;
            nchan_message_buffer_length 64;
        }}
        location = {path} {{
            nchan_subscriber websocket;
            nchan_channel_id live;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


class Nchan(Peer):
    """What operators take who want fan-out without writing it."""

    name = "nchan"
    title = "nginx with Nchan"

    def missing(self) -> str | None:
        if nginx() is None:
            return "nginx is not installed"
        return None if module() is not None else f"nginx has no {_MODULE}"

    @asynccontextmanager
    async def start(self, size: int, period: float, cpu: int | None) -> AsyncIterator[RunningPeer]:
        server, extension = await asyncio.to_thread(lambda: (nginx(), module()))
        if server is None or extension is None:
            raise BenchError(f"the peer {self.name} did not start: {self.missing()}")
        async with folder() as place:
            port = free_port()
            file = place / "nginx.conf"
            await asyncio.to_thread(file.write_text, configuration(extension, place, port))
            log = str(place / "start.log")  # until it has read where the errors go
            async with pinned(cpu, server, "-c", str(file), "-p", str(place), "-e", log) as running:
                await opened(port, self.name)
                feed = (str(port), PUBLISH_PATH, str(size), f"{period:g}")
                async with program("gateway.bench.peers.publisher", *feed) as publisher:
                    await publisher.says("^ready$", _READY_SECONDS)
                    # A worker has taken the first message, so now there is one; the door was open before it was.
                    workers = await asyncio.to_thread(_children, running.pid)
                    yield RunningPeer(f"ws://{HOST}:{port}{PATH}", workers)


def nginx() -> str | None:
    """The program's path."""
    return shutil.which("nginx") or shutil.which("nginx", path=_PLACES)


def module(folders: Iterable[str] = _FOLDERS) -> Path | None:
    """The file of nginx's module."""
    return next((file for name in folders if (file := Path(name) / _MODULE).exists()), None)


def configuration(extension: Path, place: Path, port: int) -> str:
    """nginx's, with everything that it writes in this place."""
    return _CONFIGURATION.format(module=extension, place=place, host=HOST, port=port, publish=PUBLISH_PATH, path=PATH)


def _children(pid: int) -> list[int]:
    """nginx's first process only watches the workers, which are its children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
