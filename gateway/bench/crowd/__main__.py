"""The crowd as a process: orders come on standard input, answers go to standard output, one JSON document a line.

    python -m gateway.bench.crowd [FILES]

FILES is how many it may open. It ends when its input does. Invariant: an order that fails ends the process with a
sentence on standard error; while nothing is ordered, lines are read all the same.
It must not know what is ordered.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence

from gateway.bench.crowd import orders
from gateway.bench.crowd.crowd import Course, Crowd
from gateway.bench.usage import raise_file_limit

_SPARE_FILES = 64
_READ_BYTES = 1 << 16


def serve(crowd: Crowd, source: int, sink: int) -> None:
    """Carries out what comes on the file `source`, one order after the other, until that ends."""
    os.set_blocking(source, False)
    heard = b""
    course: Course | None = None
    while True:
        try:
            came = os.read(source, _READ_BYTES)
        except BlockingIOError:
            pass
        else:
            if not came:
                return
            heard += came
        if course is None and b"\n" in heard:
            line, _, heard = heard.partition(b"\n")
            course = crowd.carry_out(orders.decoder.decode(line))
        if course is not None:
            try:
                next(course)
            except StopIteration as done:
                course = None
                os.write(sink, orders.encode(done.value) + b"\n")
        crowd.step()


def main(arguments: Sequence[str]) -> None:
    """The process, until its standard input ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    raise_file_limit(int(arguments[0]) + _SPARE_FILES if arguments else 1024)
    gc.freeze()
    crowd = Crowd()
    try:
        serve(crowd, sys.stdin.fileno(), sys.stdout.fileno())
    finally:
        crowd.close()


if __name__ == "__main__":
    main(sys.argv[1:])
