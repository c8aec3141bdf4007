"""Many listeners in one process that reads as cheaply as it can: orders streams, and hears them in one format.

    python -m gateway.bench.audience URL KEY PROMPT STREAMS LISTENERS EXTENSION

says `ready` once everybody has got an answer, then reads until its standard input ends or it is told to end.
Invariant: whatever comes is thrown away; who is cut is said to be gone.
It must not know the gateway beyond its HTTP door.
"""

import http.client
import json
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway.bench.usage import raise_file_limit

_TIMEOUT = 30.0
# Between looks at all sockets: what comes for many of them meanwhile is read in one go.
_REST_SECONDS = 0.05
_BUFFER = bytearray(1 << 18)
_SPARE_FILES = 64


def order(url: str, key: str, prompt: str) -> str:
    """Orders a stream, and gives its id."""
    address = urlsplit(url)
    line = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        line.request("POST", "/v1/streams", json.dumps({"input": {"prompt": prompt}}), headers)
        answer = line.getresponse()
        body = json.loads(answer.read())
    finally:
        line.close()
    if answer.status != 201:
        raise OSError(f"a stream was refused with {answer.status}: {body}")
    return str(body["id"])


def join(url: str, key: str, stream: str, extension: str) -> socket.socket:
    """A listener that begins where the stream is now."""
    address = urlsplit(url)
    line = socket.create_connection((address.hostname or "", address.port or 80), timeout=_TIMEOUT)
    path = f"/v1/streams/{stream}/audio.{extension}?since=live"
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    line.setblocking(False)
    return line


class Audience:
    """Sockets that are read. `heard` are those that have got something, `gone` is how many have ended."""

    def __init__(self, lines: Sequence[socket.socket]) -> None:
        self.heard: set[socket.socket] = set()
        self.gone = 0
        self._selector = selectors.DefaultSelector()
        for line in lines:
            self._selector.register(line, selectors.EVENT_READ)

    def read(self) -> None:
        """Takes what has come, and rests a little."""
        for key, _ in self._selector.select(timeout=0):
            line = key.fileobj
            assert isinstance(line, socket.socket), "nothing else is registered"
            try:
                size = line.recv_into(_BUFFER)
            except OSError:
                size = 0
            if size:
                self.heard.add(line)
            else:
                self.gone += 1
                self._selector.unregister(line)
                line.close()
        time.sleep(_REST_SECONDS)

    def close(self) -> None:
        """Everybody leaves."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket), "nothing else is registered"
            key.fileobj.close()
        self._selector.close()


def main(arguments: Sequence[str]) -> None:
    """The process, until its standard input ends."""
    url, key, prompt, streams, listeners, extension = arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    raise_file_limit(int(listeners) + _SPARE_FILES)
    names = [order(url, key, prompt) for _ in range(int(streams))]
    audience = Audience([join(url, key, names[number % len(names)], extension) for number in range(int(listeners))])
    try:
        said = False
        while not select.select([sys.stdin], [], [], 0)[0]:
            audience.read()
            if not said and len(audience.heard) == int(listeners):
                print("ready", flush=True)  # noqa: T201 - whoever has started this waits for it
                said = True
    finally:
        audience.close()


if __name__ == "__main__":
    main(sys.argv[1:])
