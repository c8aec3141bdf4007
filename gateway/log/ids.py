"""What a line is about beside what it says: ids of the request, session, stream and trace that it belongs to.

They are bound to the task that works on it, and everything it starts inherits them: so a line that is written deep in
the provider's client names the stream. Invariant: what is bound in one task is never seen by another that it did not
start; words that are bound are never written, only sought for in lines, to be hidden.
It must not know what an id names.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

# Shorter words say nothing of anybody, and hiding them would make holes in every line.
SHORTEST_WORDS = 5


class Origin(NamedTuple):
    """Where work comes from: a request of `client` that came at `at` (Unix seconds), of a trace if it said so."""

    client: str | None = None
    agent: str | None = None
    traceparent: str | None = None
    at: float = 0.0


NOWHERE = Origin()


class Bound(NamedTuple):
    """What is bound: `ids` become fields of a line, `words` are hidden in it, `origin` is there for who asks."""

    ids: Mapping[str, str] = {}
    words: tuple[str, ...] = ()
    origin: Origin = NOWHERE


NOTHING = Bound()
_bound: ContextVar[Bound] = ContextVar("wavegate_log", default=NOTHING)


def bound() -> Bound:
    """What is bound here."""
    return _bound.get()


def bind(**ids: str | None) -> None:
    """From now on lines of this task name these ids; None leaves as it is what was bound."""
    before = _bound.get()
    given = {name: value for name, value in ids.items() if value is not None}
    _bound.set(before._replace(ids={**before.ids, **given}))


def adopt(known: Bound, **ids: str | None) -> None:
    """From now on this task is about what is `known` from elsewhere, and about these ids."""
    _bound.set(known)
    bind(**ids)


def hide(*words: str | None) -> None:
    """From now on lines of this task hide these words of somebody."""
    before = _bound.get()
    more = dict.fromkeys(word for word in words if word and len(word) >= SHORTEST_WORDS)
    if more.keys() - set(before.words):
        _bound.set(before._replace(words=tuple(dict.fromkeys((*before.words, *more)))))


@contextmanager
def binding(known: Bound | None = None, **ids: str | None) -> Iterator[None]:
    """As `bind` for a while, on top of what is bound here or of what is `known` from elsewhere."""
    token = _bound.set(known if known is not None else _bound.get())
    try:
        bind(**ids)
        yield
    finally:
        _bound.reset(token)
