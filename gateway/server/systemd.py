"""What systemd is told, and what it hands over: sd_notify(3) and sd_listen_fds(3), without its library.

Invariant: where nobody asked for it nothing is said; a message that is not taken is lost and delays nothing. What was
inherited is passed on to no process of ours. It must not know what a gateway is.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from gateway.errors import StartError

# How often the line that `systemctl status` shows is renewed, if it has changed.
STATUS_SECONDS = 10.0
# While it stops, systemd is asked for this much more time, several times in it.
_EXTEND_SECONDS = 15.0
_TICK_SECONDS = 5.0
_FIRST_FILE = 3
# What is meant for this process and for none that it starts.
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Notifier:
    """The way to the service manager that the environment names; to nobody, if it names none.

    `status` makes the line that is shown. `async with notifier:` says it, and beats for the watchdog from the loop: a
    loop that hangs does not, and is restarted.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        status: Callable[[], str],
        *,
        pid: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        pid = os.getpid() if pid is None else pid
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._status = status
        self._pid = pid
        self._clock = clock
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._said = ""
        self._said_at = 0.0
        self._stopping: Callable[[], float] | None = None
        self.beat_seconds = _beat(environ, pid) if self._address else None

    async def __aenter__(self) -> "Notifier":
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._task = asyncio.create_task(self._run(), name="service manager")
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """It serves; also once what has changed was taken up."""
        if self._socket is not None:
            self._say("READY=1", f"MAINPID={self._pid}", self._line())

    def reloading(self) -> None:
        """It takes up what has changed; `ready` follows."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, seconds_left: Callable[[], float]) -> None:
        """It ends, in so many seconds at most: systemd is asked to wait for as long as that takes."""
        if self._socket is not None:
            self._stopping = seconds_left
            self._say("STOPPING=1", self._extension(), self._line())

    def _extension(self) -> str:
        left = self._stopping() if self._stopping is not None else 0.0
        return f"EXTEND_TIMEOUT_USEC={round(1e6 * min(_EXTEND_SECONDS, left + _TICK_SECONDS) + 1e6 * _TICK_SECONDS)}"

    def _line(self) -> str:
        self._said, self._said_at = self._status(), self._clock()
        return f"STATUS={' '.join(self._said.split())}"

    async def _run(self) -> None:
        """For ever: beats, says how it is, and asks for time."""
        asked = self._clock()
        pause = min(_TICK_SECONDS, self.beat_seconds or _TICK_SECONDS)
        while True:
            if self.beat_seconds is not None:
                self._say("WATCHDOG=1")
            now = self._clock()
            if self._stopping is not None and now - asked >= _TICK_SECONDS:
                asked = now
                self._say(self._extension())
            if now - self._said_at >= STATUS_SECONDS and self._said and self._status() != self._said:
                self._say(self._line())
            await asyncio.sleep(pause)

    def _say(self, *lines: str) -> None:
        if self._socket is not None:
            # Nobody there, or a manager that does not read.
            with suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)


def _address(given: str) -> str:
    """Of a socket that has a path, or is abstract; of another kind, or none, it is empty."""
    if given.startswith("@"):
        return f"\0{given[1:]}"
    return given if given.startswith("/") else ""


def _beat(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two beats, half of what is asked for; None where it is not asked of this process."""
    try:
        seconds = int(environ["WATCHDOG_USEC"]) / 1e6
        if int(environ.get("WATCHDOG_PID", pid)) != pid or seconds <= 0:
            return None
    except (KeyError, ValueError):
        return None
    return seconds / 2


def activated(environ: Mapping[str, str], *, pid: int | None = None, first: int = _FIRST_FILE) -> list[socket.socket]:
    """The listening sockets that systemd has opened for this process, to be closed by it. Raises StartError."""
    pid = os.getpid() if pid is None else pid
    if environ.get("LISTEN_PID") != str(pid):
        return []
    found: list[socket.socket] = []
    try:
        for file in range(first, first + int(environ.get("LISTEN_FDS", "0"))):
            os.set_inheritable(file, False)
            one = socket.socket(fileno=file)
            found.append(one)
            if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
                raise ValueError
            one.setblocking(False)
    except (ValueError, OSError):
        for one in found:
            one.close()
        raise StartError("LISTEN_FDS: what systemd hands over must be TCP sockets: ListenStream= a port.") from None
    return found


def without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process of ours, which systemd does not know."""
    return {name: value for name, value in environ.items() if name not in OURS}
