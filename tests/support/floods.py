"""Floods: whatever a stranger may send, as fast as one core can, from one address, for a bounded time.

`python -m tests.support.floods NAME PORT SECONDS KEY STREAM [PREAMBLE]` runs one of them against 127.0.0.1 and prints
how often it has done what it does. With a preamble each connection comes from 127.0.0.2 and begins with it: a gateway
that trusts that proxy takes the address in there for the client's. Invariant: never more than MOST_OPEN sockets, and an
end in time whatever the other side does. It must not judge what becomes of it.
"""

import base64
import itertools
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

MOST_OPEN = 1500
PIPELINED = 64
FRAMES = 2000
_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where it all goes, until then."""

    port: int
    until: float
    key: str
    stream: str
    preamble: bytes

    @property
    def on(self) -> bool:
        return time.monotonic() < self.until

    def dial(self) -> socket.socket:
        """A connection; OSError where nobody takes it."""
        line = socket.socket()
        try:
            line.settimeout(_TIMEOUT)
            if self.preamble:
                line.bind(("127.0.0.2", 0))
            line.connect(("127.0.0.1", self.port))
            if self.preamble:
                line.sendall(self.preamble)
        except OSError:
            line.close()
            raise
        return line

    @contextmanager
    def held(self) -> Iterator[deque[socket.socket]]:
        """Sockets that stay open until the end, or until there are too many."""
        lines: deque[socket.socket] = deque()
        try:
            yield lines
        finally:
            for line in lines:
                line.close()


def request(method: str, path: str, *more: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame, short; the mask is of zeros."""
    return bytes([opcode | (0x80 if fin else 0), 0x80 | len(data), 0, 0, 0, 0]) + data


def text(message: str) -> bytes:
    """A text message of up to 125 bytes, or of up to 64 KiB."""
    data = message.encode()
    if len(data) < 126:
        return frame(1, data)
    return bytes([0x81, 0xFE]) + len(data).to_bytes(2, "big") + bytes(4) + data


def session(to: Target) -> socket.socket:
    """A WebSocket session that has been let in."""
    line = to.dial()
    line.sendall(
        b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n"
        b"Authorization: Bearer " + to.key.encode() + b"\r\n\r\n"
    )
    if not line.recv(4096).startswith(b"HTTP/1.1 101"):
        line.close()
        raise OSError("refused")
    return line


def drained(line: socket.socket) -> None:
    """Takes what has come, so that the other side goes on; raises OSError at its end."""
    line.setblocking(False)
    try:
        while line.recv(262144):
            pass
        raise OSError("closed")
    except BlockingIOError:
        pass
    finally:
        line.settimeout(_TIMEOUT)


def again(to: Target, once: Callable[[], int]) -> int:
    """How often `once` did it, called until the time is over; whatever fails is begun anew."""
    done = 0
    while to.on:
        try:
            done += once()
        except OSError:
            done += 1
    return done


# -- connections -------------------------------------------------------------------------------------------------------


def connects(to: Target) -> int:
    """Comes and goes."""

    def once() -> int:
        to.dial().close()
        return 1

    return again(to, once)


def half_open(to: Target) -> int:
    """Comes, says half a word, and stays."""
    with to.held() as lines:

        def once() -> int:
            if len(lines) >= MOST_OPEN:
                lines.popleft().close()
            lines.append(to.dial())
            lines[-1].sendall(b"GE")
            return 1

        return again(to, once)


def slow_heads(to: Target) -> int:
    """Many heads that never end, a header at a time."""
    return in_turns(to, MOST_OPEN, lambda: _opened(to, b"GET / HTTP/1.1\r\nHost: x\r\n"), b"X-A: b\r\n")


def slow_bodies(to: Target) -> int:
    """Many orders that never end, a few octets at a time."""
    head = request("POST", "/v1/streams", f"Authorization: Bearer {to.key}", "Content-Type: application/json")
    return in_turns(to, MOST_OPEN, lambda: _opened(to, head.replace(b"Length: 0", b"Length: 60000")), b'{"inp')


def _opened(to: Target, said: bytes) -> socket.socket:
    line = to.dial()
    line.sendall(said)
    return line


def in_turns(to: Target, most: int, opened: Callable[[], socket.socket], said: bytes) -> int:
    """So many connections, each of which says this now and then."""
    with to.held() as lines:

        def once() -> int:
            line = lines.popleft() if len(lines) >= most else opened()
            try:
                line.sendall(said)
            except OSError:
                line.close()
                raise
            lines.append(line)
            return 1

        return again(to, once)


def hellos(to: Target) -> int:
    """Shakes hands under TLS, and goes."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def once() -> int:
        with closing(to.dial()) as line, closing(context.wrap_socket(line, server_hostname="127.0.0.1")):
            return 1

    return again(to, once)


def half_hellos(to: Target) -> int:
    """Begins with TLS, says no more, and stays."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()
    hello = outgoing.read()
    with to.held() as lines:

        def once() -> int:
            if len(lines) >= MOST_OPEN:
                lines.popleft().close()
            lines.append(_opened(to, hello))
            return 1

        return again(to, once)


# -- requests ----------------------------------------------------------------------------------------------------------


def pipelined(to: Target, said: bytes) -> int:
    """The same request again and again, many before the first answer."""

    done = [0]

    def once() -> int:
        with closing(to.dial()) as line:
            while to.on:
                line.sendall(said * PIPELINED)
                done[0] += PIPELINED
                line.recv(65536)
                drained(line)
        return 0

    again(to, once)
    return done[0]


def requests(to: Target) -> int:
    """For what is not there."""
    return pipelined(to, request("GET", "/nothing"))


def bad_tickets(to: Target) -> int:
    """Another ticket each time."""
    tickets = itertools.count()
    return again(
        to, lambda: _asked(to, [request("GET", f"/v1/streams?ticket=wt_{next(tickets)}") for _ in range(PIPELINED)])
    )


def bad_creates(to: Target) -> int:
    """Orders with a good key that nobody can carry out."""
    head = (f"Authorization: Bearer {to.key}", "Content-Type: application/json")
    return pipelined(to, request("POST", "/v1/streams", *head, body=b'{"input": {"prompt": "x"}}'))


def headers(to: Target) -> int:
    """Heads of very many headers, and very long ones."""
    line = "X-Long: " + 4000 * "x" + "\r\n"
    said = b"GET / HTTP/1.1\r\nHost: x\r\n" + (200 * line).encode()
    return again(to, lambda: _asked(to, [said]))


def _asked(to: Target, said: list[bytes]) -> int:
    with closing(to.dial()) as line:
        line.sendall(b"".join(said))
        line.recv(65536)
    return len(said)


# -- WebSockets --------------------------------------------------------------------------------------------------------


def frames(to: Target, said: bytes, count: int) -> int:
    """So many frames at a time, until the session ends."""

    def once() -> int:
        done = 0
        with closing(session(to)) as line:
            while to.on:
                line.sendall(said)
                drained(line)
                done += count
        return done

    return again(to, once)


def pings(to: Target) -> int:
    return frames(to, frame(9) * FRAMES, FRAMES)


def pongs(to: Target) -> int:
    return frames(to, frame(10, b"x") * FRAMES, FRAMES)


def fragments(to: Target) -> int:
    """Messages that never end, in pieces of one byte or none."""
    piece = frame(0, b" ", fin=False) + frame(0, fin=False)
    return again(to, lambda: _begun(to, piece * (FRAMES // 2)))


def _begun(to: Target, said: bytes) -> int:
    done = 0
    with closing(session(to)) as line:
        line.sendall(frame(1, b"{", fin=False))
        while to.on:
            line.sendall(said)
            drained(line)
            done += FRAMES
    return done


def messages(to: Target) -> int:
    """Something that no gateway knows."""
    return frames(to, text('{"type": "?"}') * 500, 500)


def joins(to: Target) -> int:
    """Joins the song and leaves it, again and again, in one session."""
    attach, detach = (f'{{"type": "stream.{what}", "stream_id": "{to.stream}"}}' for what in ("attach", "detach"))
    return frames(to, (text(attach) + text(detach)) * 25, 25)


def sessions(to: Target) -> int:
    """A session for each, which joins and goes."""

    def once() -> int:
        with closing(session(to)) as line:
            line.sendall(text(f'{{"type": "stream.attach", "stream_id": "{to.stream}"}}'))
            line.recv(4096)
        return 1

    return again(to, once)


def trickles(to: Target) -> int:
    """As many sessions as come in, each of which says something small now and then."""
    return in_turns(to, 900, lambda: session(to), frame(9))


def slow_readers(to: Target) -> int:
    """Joins from the start, reads nothing, and stays."""
    with to.held() as lines:

        def once() -> int:
            if len(lines) >= MOST_OPEN:
                time.sleep(0.01)
                return 0
            line = session(to)
            lines.append(line)
            line.sendall(text(f'{{"type": "stream.attach", "stream_id": "{to.stream}", "since": "start"}}'))
            return 1

        return again(to, once)


FLOODS: dict[str, Callable[[Target], int]] = {
    one.__name__: one
    for one in (
        connects,
        half_open,
        slow_heads,
        slow_bodies,
        requests,
        bad_tickets,
        bad_creates,
        headers,
        pings,
        pongs,
        fragments,
        messages,
        joins,
        sessions,
        trickles,
        slow_readers,
    )
}
# Where the port has TLS.
TLS_FLOODS: dict[str, Callable[[Target], int]] = {one.__name__: one for one in (hellos, half_hellos)}


def main(name: str, port: str, seconds: str, key: str, stream: str, preamble: str = "") -> None:
    begins = preamble.encode() + b"\r\n" if preamble else b""
    target = Target(int(port), time.monotonic() + float(seconds), key, stream, begins)
    with suppress(KeyboardInterrupt):
        print((FLOODS | TLS_FLOODS)[name](target), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
