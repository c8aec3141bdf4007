"""One conversion in a process of its own, done as a worker does it: fed in steps, by one thread.

    python -m gateway.bench.solo SONG FORMAT RATE CHANNELS BITRATE STEP OUTPUT

BITRATE 0 is none, STEP is in bytes. Invariant: it imports what a worker imports, and nothing of the gateway.
It must not know that it is measured.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from transcode.converter import Converter
from transcode.formats import FORMATS
from transcode.spec import EncoderSpec


def convert(arguments: Sequence[str]) -> None:
    """Reads the file SONG and writes OUTPUT."""
    song, name, rate, channels, bitrate, step, output = arguments
    form, size = FORMATS[name], int(step)
    spec = EncoderSpec(form.codec, int(rate), int(channels), int(bitrate) or None)
    converter = Converter(form, spec)
    begun = False
    with Path(song).open("rb") as source, Path(output).open("wb") as target:
        data: bytes | None = b""
        while data is not None:
            data = source.read(size) or None
            chunks = converter.feed(data) if data is not None else converter.flush()
            if chunks and not begun:
                target.write(converter.init)
                begun = True
            target.writelines(chunk.data for chunk in chunks)


if __name__ == "__main__":
    convert(sys.argv[1:])
