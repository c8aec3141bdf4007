"""A service manager, as far as its socket goes: what it was told, in the order in which it came.

Invariant: it answers nobody, as systemd does not.
It must not test anything itself.
"""

import asyncio
import socket

PATIENCE = 60.0


class Manager:
    """A datagram socket at `path`, which is abstract if it begins with a zero; `name` is what NOTIFY_SOCKET says."""

    def __init__(self, path: str) -> None:
        self.name = path.replace("\0", "@")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setblocking(False)
        self._kept: list[dict[str, str]] = []

    def heard(self) -> list[dict[str, str]]:
        """The messages that nobody has asked for yet."""
        found, self._kept = self._kept, []
        while True:
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in data.decode().split("\n")))

    async def hears(self, name: str) -> dict[str, str]:
        """The next message with this word in it; what stands behind it is there for the next call."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = self.heard()
                for index, message in enumerate(found):
                    if name in message:
                        self._kept = found[index + 1 :]
                        return message
                await asyncio.sleep(0.02)

    def close(self) -> None:
        self._socket.close()
