"""Posts each message to a server that sends it on, on one connection that stays.

    python -m gateway.bench.peers.publisher PORT PATH SIZE PERIOD

says `ready` once the first was taken. Invariant: a message is posted when it is due and the one before was taken.
It must not know what the server does with it.
"""

import http.client
import itertools
import sys
import time
from collections.abc import Sequence

from gateway.bench.peers.message import Messages
from gateway.bench.peers.pace import Pace
from gateway.bench.peers.peer import HOST

_TIMEOUT = 60.0
_TAKEN = (201, 202)  # with listeners, and without
_HEADERS = {"Content-Type": "application/octet-stream"}


def main(arguments: Sequence[str]) -> None:
    """The process, until it is told to end or the server has ended."""
    port, path, size, period = int(arguments[0]), arguments[1], int(arguments[2]), float(arguments[3])
    line = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT)
    messages, pace = Messages(size, period), Pace(period, time.monotonic)
    try:
        for seq in itertools.count():
            time.sleep(pace.left())
            line.request("POST", path, messages.message(seq), _HEADERS)
            answer = line.getresponse()
            answer.read()
            if answer.status not in _TAKEN:
                sys.exit(f"the server refused a message with {answer.status}")
            if seq == 0:
                print("ready", flush=True)  # noqa: T201 - whoever has started this waits for it
    except (OSError, http.client.HTTPException):
        return  # the server has ended
    finally:
        line.close()


if __name__ == "__main__":
    main(sys.argv[1:])
