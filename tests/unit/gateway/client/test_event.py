"""The iterator of events, and what it may give.

Invariant under test: it asks for one after another until there is none, and a call that was cancelled ends nothing.
No network is involved.
"""

import asyncio

from gateway.client.event import Event, Events, State
from gateway.protocol import events


async def test_it_ends_where_there_is_nothing_more() -> None:
    """None is the end, and stays it."""
    told: list[Event | None] = [events.StreamQueued("s", 1, None), None, None]

    async def following() -> Event | None:
        return told.pop(0)

    stream = Events(following)
    assert [event async for event in stream] == [events.StreamQueued("s", 1, None)]
    assert [event async for event in stream] == []


async def test_a_call_that_was_cancelled_ends_nothing() -> None:
    """As with the frames alone: whoever waits with a time limit may ask again."""
    ready = asyncio.Event()

    async def following() -> Event | None:
        await ready.wait()
        return events.StreamQueued("s", 1, None)

    stream = Events(following)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    ready.set()
    assert await anext(stream) == events.StreamQueued("s", 1, None)


def test_states_are_words() -> None:
    """They compare with what a program would write."""
    assert [str(state) for state in State] == ["waiting", "receiving", "reconnecting", "completed", "ended"]
