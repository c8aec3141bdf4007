"""A source client of Icecast: MP3 over and over, so many bytes each period.

    python -m gateway.bench.peers.source PORT PATH PASSWORD SIZE PERIOD

says `ready` once it was let in. Invariant: bytes leave when they are due, on one connection; the password is that of a
server that lives for a bench, so it may be seen. It must not know who listens.
"""

import base64
import itertools
import socket
import sys
import time
from collections.abc import Iterator, Sequence

from gateway.bench.peers.pace import Pace
from gateway.bench.peers.peer import HOST
from gateway.bench.song import song

_TIMEOUT = 60.0
_SONG_SECONDS = 10.0


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The bytes over and over, in pieces of this size."""
    whole = data * (size // len(data) + 2)
    for number in itertools.count():
        start = number * size % len(data)
        yield whole[start : start + size]


def main(arguments: Sequence[str]) -> None:
    """The process, until it is told to end or the server has ended."""
    path, password, size, period = arguments[1], arguments[2], int(arguments[3]), float(arguments[4])
    sound = pieces(song(_SONG_SECONDS).data, size)
    name = base64.b64encode(f"source:{password}".encode()).decode()
    with socket.create_connection((HOST, int(arguments[0])), _TIMEOUT) as line:
        request = f"PUT {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {name}\r\n"
        line.sendall(f"{request}Content-Type: audio/mpeg\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = line.recv(4096)
        if answer.split(b" ")[1:2] not in ([b"100"], [b"200"]):
            sys.exit(f"the server refused the source: {answer[:80]!r}")
        pace = Pace(period, time.monotonic)
        line.sendall(next(sound))
        print("ready", flush=True)  # noqa: T201 - whoever has started this waits for it
        while True:
            time.sleep(pace.left())
            try:
                line.sendall(next(sound))
            except OSError:
                return  # the server has ended


if __name__ == "__main__":
    main(sys.argv[1:])
