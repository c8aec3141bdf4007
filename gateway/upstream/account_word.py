"""What a node says of the provider's account to the store that all share, and what it is told: the wire of account.lua.

Invariant: a word tells the whole of what the node holds, so that the last one heard is true whatever became of those
before it. Times here are seconds, there whole microseconds.
It must not know a connection, a clock, nor when a word is due.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.redis.script import Script
from gateway.upstream.account import Head
from gateway.upstream.allowance import SHRINK

SCRIPT = Script.of("gateway.upstream", "account.lua")
NODES = "wavegate:account:nodes"
KEYS = ("wavegate:account:state", NODES, "wavegate:account:tags")

# The longest pause that is believed, as the governor has it.
_LONGEST_PAUSE = 60.0
# A tenant of weight 1 pays so much for a start.
_STEP = 1_000_000


@dataclass(slots=True, frozen=True)
class Terms:
    """What a node is, and what it may ask for: permits of the whole account, seconds from one start to the next."""

    node: str
    most: int
    gap: float
    lease: float
    look: float


@dataclass(slots=True, frozen=True)
class Verdict:
    """The provider had room for a call, or none: then the call's `era` counts, and a pause of so many seconds.

    `held` is how many permits the node held then.
    """

    held: int
    era: int | None = None
    pause: float = 0.0


@dataclass(slots=True, frozen=True)
class Memory:
    """What a node knows of the account: for a store that has lost it.

    `birth` is the store's, empty if none was ever heard; `started` is seconds since the node's last start, and `alone`
    whether that may have been without the store's leave.
    """

    birth: bytes = b""
    limit: bytes = b""
    era: int = 0
    started: float | None = None
    alone: bool = False
    pause: float = 0.0


@dataclass(slots=True, frozen=True)
class Answer:
    """Whether a permit is given, when to ask again, for how long all is closed, and how the account is.

    `exact` is the limit with its fraction, `elsewhere` how many wait at each other node at which somebody waits.
    """

    given: bool
    again: float
    closed: float
    limit: int
    exact: bytes
    era: int
    used: int
    birth: bytes
    nodes: int
    elsewhere: tuple[int, ...]


def words(
    terms: Terms, number: int, held: int, head: Head | None, memory: Memory, verdicts: Sequence[Verdict]
) -> list[Any]:
    """The script's arguments. `number` goes up with every word of a node."""
    said: list[Any] = [terms.node, number, terms.most, math.ceil(terms.gap * 1e6)]
    said += [_micro(terms.lease), _micro(terms.look), held, SHRINK, _micro(_LONGEST_PAUSE)]
    if head is None:
        said += [0, "", 0, 0]
    else:
        said += [head.waiting, head.tenant, max(1, round(_STEP / head.weight)), _micro(head.seconds)]
    started = -1 if memory.started is None else _micro(memory.started)
    said += [memory.birth, memory.limit, memory.era, started, int(memory.alone), _micro(memory.pause)]
    for verdict in verdicts:
        said += [-1 if verdict.era is None else verdict.era, verdict.held, _micro(verdict.pause)]
    return said


def answer(told: Sequence[Any]) -> Answer | None:
    """What the script has said; None where it took the word for one that comes late."""
    if not told:
        return None
    given, again, closed, limit, exact, era, used, birth, nodes, *elsewhere = told
    return Answer(bool(given), again / 1e6, closed / 1e6, limit, exact, era, used, birth, nodes, tuple(elsewhere))


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
