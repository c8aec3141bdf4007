"""What a tenant asks to have generated, and on which terms: the same from every door.

Invariant: it has been checked; nothing in it can be refused but for lack of room or of budget.
It must not know the door it came through.
"""

from dataclasses import dataclass, field

from gateway.accounting import Once
from gateway.errors import RequestError
from gateway.model import GenerationRequest, Principal, StreamId, TenantId


class RepeatedOrderError(RequestError):
    """The order was made before, as `stream_id`, which this process does not keep any more: nothing was bought."""

    def __init__(self, stream_id: StreamId) -> None:
        sentence = f"This order was made before, as {stream_id}, which is no longer kept here. Nothing was bought."
        super().__init__("stream_not_found", sentence, param="Idempotency-Key")
        self.stream_id = stream_id


@dataclass(frozen=True, slots=True)
class Order:
    """`share` takes the tenant's own stream of this very song where there is one; `grace` is how many seconds it goes
    on when everybody has left, None to its end; `once` makes it the same order as the one before that had it;
    `warnings` are for the buyer.
    """

    principal: Principal
    request: GenerationRequest
    share: bool = False
    grace: float | None = None
    once: Once | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def tenant(self) -> TenantId:
        """Who pays."""
        return self.principal.tenant
