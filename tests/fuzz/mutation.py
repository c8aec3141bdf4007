"""Octets made up blindly: pieces of seeds and tokens, put together and damaged.

It finds less than a fuzzer that sees which branches were taken, and needs nothing but Python: the daily run's share,
and what is left where that fuzzer is not installed. Invariant: the same chance makes the same octets.
It must not know what they are for.
"""

import random
from collections.abc import Sequence

from tests.fuzz.target import MOST_BYTES


def made_up(draw: random.Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """The next input: one to six pieces, a seed first, and up to four wounds."""
    pieces = [draw.choice(seeds), *(draw.choice((*tokens, *seeds)) for _ in range(draw.choice((0, 0, 1, 2, 5))))]
    draw.shuffle(pieces)
    data = bytearray(b"".join(pieces)[:MOST_BYTES])
    for _ in range(draw.randint(0, 4)):
        at = draw.randint(0, len(data))
        wound = draw.randint(0, 4)
        if wound == 0:
            data[at : at + draw.choice((1, 1, 4, 64))] = b""
        elif wound == 1:
            data[at:at] = draw.choice(tokens) if tokens else b"\0"
        elif wound == 2:
            data[at : at + 1] = bytes([draw.choice((0, 0x0A, 0x0D, 0x22, 0x7F, 0x80, 0xFF, draw.randint(0, 255)))])
        elif wound == 3:
            end = draw.randint(at, min(len(data), at + 64))
            data[at:at] = data[at:end] * draw.choice((1, 2, 16))
        else:
            data[at : at + 1] = bytes([data[at] ^ 1 << draw.randint(0, 7)]) if at < len(data) else b"\0"
    return bytes(data[:MOST_BYTES])
