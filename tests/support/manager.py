"""A service manager, as far as its socket goes: what it was told, in the order in which it came.

Invariant: it answers nobody, as systemd does not.
It must not test anything itself.
"""

import socket


class Manager:
    """A datagram socket at `path`, which is abstract if it begins with a zero; `name` is what NOTIFY_SOCKET says."""

    def __init__(self, path: str) -> None:
        self.name = path.replace("\0", "@")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        """The messages since the last call."""
        found: list[dict[str, str]] = []
        while True:
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in data.decode().split("\n")))

    def close(self) -> None:
        self._socket.close()
