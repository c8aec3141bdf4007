"""What a target of the fuzzer is: a parser that meets a network, and what must hold of it for any octets.

Invariant: `check` returns, or raises because the house's code broke a promise; the refusals that a parser documents are
caught inside. The same octets give the same outcome, so that a finding is a file: chance is drawn from the octets.
It must not know who makes the octets up.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

Outcome = TypeVar("Outcome")
Refusal = TypeVar("Refusal", bound=Exception)

# Longer inputs find nothing that shorter ones do not, and cost what they weigh.
MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """`seeds` are inputs that mean something, `tokens` pieces of such; `promises` says what `check` holds to."""

    name: str
    promises: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = field(default=())


def chance(data: bytes) -> random.Random:
    """Chance that is the same each time for the same octets."""
    return random.Random(zlib.crc32(data))


def tried(call: Callable[[], Outcome], *refusals: type[Refusal]) -> Outcome | Refusal:
    """What it gives, or the refusal that it documents: those of any other kind are findings."""
    try:
        return call()
    except refusals as refusal:
        return refusal


def slices(data: bytes) -> Iterator[bytes]:
    """The octets as a network might cut them: some pieces long, some of one octet, some empty."""
    draw = chance(data)
    places = sorted(draw.randint(0, len(data)) for _ in range(draw.choice((1, 2, 3, 8, len(data)))))
    for start, end in pairwise([0, *places, len(data)]):
        yield data[start:end]


def octets(data: bytes) -> Iterator[bytes]:
    """One by one."""
    return (data[at : at + 1] for at in range(len(data)))
