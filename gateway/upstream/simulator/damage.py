"""Bytes that are no music, put among those that are.

Invariant: the same damage each time, however the music was cut into pieces, so a damaged song is one file like any
other. It must not know what the music's bytes mean.
"""

import random
from collections.abc import Iterable, Iterator

_SEED = 20260501


def garbage(size: int) -> bytes:
    """Random bytes, always the same ones."""
    return random.Random(_SEED).randbytes(size)  # noqa: S311 - damage, not a secret


def spliced(pieces: Iterable[bytes], at: int, foreign: bytes) -> Iterator[bytes]:
    """The pieces with `foreign` put in before byte number `at`, or at the end when there are not so many."""
    before = at
    for piece in pieces:
        if before < 0 or len(piece) <= before:
            before -= len(piece) if before >= 0 else 0
            yield piece
            continue
        yield piece[:before] + foreign + piece[before:]
        before = -1
    if before >= 0:
        yield foreign


def replaced(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """As many random bytes as the pieces have."""
    noise = random.Random(_SEED)  # noqa: S311 - damage, not a secret
    for piece in pieces:
        yield noise.randbytes(len(piece))
