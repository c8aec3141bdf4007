"""What a tenant asks to have generated, and on which terms: the same from every door.

Invariant: it has been checked; nothing in it can be refused but for lack of room or of budget.
It must not know the door it came through.
"""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.accounting import Once
from gateway.errors import RequestError
from gateway.model import GenerationRequest, Principal, StreamId, TenantId


class RepeatedOrderError(RequestError):
    """The order was made before, as `stream_id`, which this process does not keep any more: nothing was bought."""

    def __init__(self, stream_id: StreamId) -> None:
        sentence = f"This order was made before, as {stream_id}, which is no longer kept here. Nothing was bought."
        super().__init__("stream_not_found", sentence, param="Idempotency-Key")
        self.stream_id = stream_id


class Allowance(Protocol):
    """What somebody may spend who orders on the tenant's account: no more is made for them, whatever that has left."""

    @property
    def taken(self) -> float:
        """Seconds that are set aside for this order."""
        ...

    async def more(self, seconds: float) -> float:
        """Sets aside up to so many more and gives how many. Raises LimitError when none are left."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """`share` takes the tenant's own stream of this very song where there is one; `grace` is how many seconds it goes
    on when everybody has left, None to its end; `once` makes it the same order as the one before that had it;
    `warnings` are for the buyer; an `allowance` ends the song as the tenant's budget does.
    """

    principal: Principal
    request: GenerationRequest
    share: bool = False
    grace: float | None = None
    once: Once | None = None
    warnings: list[str] = field(default_factory=list)
    allowance: Allowance | None = None

    @property
    def tenant(self) -> TenantId:
        """Who pays."""
        return self.principal.tenant
