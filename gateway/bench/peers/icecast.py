"""Icecast, which radio stations run: one mount, and a source client beside it that feeds it MP3.

Invariant: the server is what counts, and what is pinned; the source client is neither. Nobody gets a burst at the
beginning, so that every listener costs the same from its first moment on.
It must not know what the sound is.
"""

import asyncio
import grp
import os
import pwd
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.bench.benches import BenchError
from gateway.bench.peers.launch import folder, free_port, opened, pinned
from gateway.bench.peers.peer import HOST, PATH, Peer, RunningPeer
from gateway.bench.programs import program

_PROGRAMS = ("icecast2", "icecast")  # Debian's name, and everybody else's
_USERS = ("icecast2", "icecast", "nobody")
_READY_SECONDS = 20.0

_CONFIGURATION = """\
<icecast>
  <location>here</location>
  <admin>nobody@{host}</admin>
  <limits>
    <clients>32768</clients>
    <sources>2</sources>
    <queue-size>1048576</queue-size>
    <client-timeout>60</client-timeout>
    <header-timeout>60</header-timeout>
    <source-timeout>60</source-timeout>
    <burst-on-connect>0</burst-on-connect>
    <burst-size>0</burst-size>
  </limits>
  <authentication>
    <source-password>{password}</source-password>
    <admin-user>admin</admin-user>
    <admin-password>{password}</admin-password>
  </authentication>
  <hostname>{host}</hostname>
  <listen-socket><port>{port}</port><bind-address>{host}</bind-address></listen-socket>
  <fileserve>1</fileserve>
  <paths>
    <basedir>{place}</basedir>
    <logdir>{place}</logdir>
    <webroot>{place}</webroot>
    <adminroot>{place}</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>2</loglevel></logging>
  <security><chroot>0</chroot>{owner}</security>
</icecast>
"""


class Icecast(Peer):
    """HTTP, as our own HTTP door."""

    name = "icecast"
    title = "Icecast"
    door = "http"

    def missing(self) -> str | None:
        return None if icecast() is not None else "Icecast is not installed"

    @asynccontextmanager
    async def start(self, size: int, period: float, cpu: int | None) -> AsyncIterator[RunningPeer]:
        server = await asyncio.to_thread(icecast)
        if server is None:
            raise BenchError(f"the peer {self.name} did not start: {self.missing()}")
        async with folder() as place:
            port, password = free_port(), secrets.token_hex(16)
            file = await asyncio.to_thread(_prepare, place, port, password)
            async with pinned(cpu, server, "-c", str(file)) as running:
                await opened(port, self.name)
                feed = (str(port), PATH, password, str(size), f"{period:g}")
                async with program("gateway.bench.peers.source", *feed) as source:
                    await source.says("^ready$", _READY_SECONDS)
                    yield RunningPeer(f"http://{HOST}:{port}{PATH}", [running.pid])


def icecast() -> str | None:
    """The program's path."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def configuration(place: Path, port: int, password: str, user: pwd.struct_passwd | None) -> str:
    """Icecast's, with everything that it writes in this place; it becomes this user."""
    owner = ""
    if user is not None:
        group = grp.getgrgid(user.pw_gid).gr_name
        owner = f"<changeowner><user>{user.pw_name}</user><group>{group}</group></changeowner>"
    return _CONFIGURATION.format(place=place, port=port, host=HOST, password=password, owner=owner)


def _prepare(place: Path, port: int, password: str) -> Path:
    """Its file, and its folder given to the user that it becomes: as root it does not run."""
    user = _somebody() if os.geteuid() == 0 else None
    file = place / "icecast.xml"
    file.write_text(configuration(place, port, password, user), encoding="utf-8")
    if user is not None:
        os.chown(place, user.pw_uid, user.pw_gid)
    return file


def _somebody() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _USERS if name in known)
