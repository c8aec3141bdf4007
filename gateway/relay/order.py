"""What a tenant asks to have generated, and on which terms: the same from every door.

Invariant: it has been checked; nothing in it can be refused but for lack of room or of budget.
It must not know the door it came through.
"""

from dataclasses import dataclass, field

from gateway.model import GenerationRequest, TenantId


@dataclass(frozen=True, slots=True)
class Order:
    """`share` takes the tenant's own stream of this very song where there is one; `grace` is how many seconds it goes
    on when everybody has left, None to its end; `warnings` are for the buyer.
    """

    tenant: TenantId
    request: GenerationRequest
    share: bool = False
    grace: float | None = None
    warnings: list[str] = field(default_factory=list)
