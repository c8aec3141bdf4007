"""Buying for a visitor: what a ticket may spend is taken before the order, and settled when the song has its bill.

Invariant: an order that is refused costs the ticket nothing; one that was made ends with what its ticket may buy, and
is settled once, by a task that the gateway owns. It must not know sockets, nor how a bill comes about.
"""

import asyncio
from dataclasses import replace

from gateway.errors import WavegateError
from gateway.relay.hub import Hub
from gateway.relay.order import Order
from gateway.relay.replica import AnyStream
from gateway.server.visitor import Purchase, Visitor


async def bought(
    visitor: Visitor, hub: Hub, tasks: asyncio.TaskGroup, order: Order, estimate: float
) -> tuple[AnyStream, bool]:
    """A stream that the visitor may buy, and whether it was bought by somebody else before. Raises WavegateError.

    `estimate` is how many seconds a song is taken for that cannot tell itself how long it will be.
    """
    purchase = await visitor.buy(order.request.estimate_seconds or estimate)
    try:
        stream, shared = await hub.order(replace(order, allowance=purchase) if purchase.bounded else order)
    except WavegateError:
        await purchase.undo()
        raise
    if shared:
        await purchase.settle(0.0)
    elif purchase.taken:
        tasks.create_task(_settle(stream, purchase), name=f"purchase of {stream.id}")
    return stream, shared


async def _settle(stream: AnyStream, purchase: Purchase) -> None:
    await stream.wait()
    await purchase.settle(stream.audio_seconds)
