"""From the address of a store to its ledger: `memory:`, `sqlite:///usage.db`, `sqlite:////var/lib/usage.db`.

Invariant: three slashes and a path that is relative to where the gateway was started, or four and an absolute one, as
other programs write it. It must not open what it makes.
"""

import time
from collections.abc import Callable

from gateway.config.schema import Limits
from gateway.errors import StartError
from gateway.model import TenantId
from gateway.quota.ledger import Ledger
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.volatile import VolatileLedger

SQLITE = "sqlite:///"


def ledger_at(
    address: str,
    limits_of: Callable[[TenantId], Limits],
    rules: Rules,
    prices: Prices,
    *,
    now: Callable[[], float] = time.time,
) -> Ledger:
    """The ledger of this address, to be opened and closed by whoever asked. Raises StartError for others."""
    if address == "memory:":
        return VolatileLedger(limits_of, rules, prices, now=now)
    path = address.removeprefix(SQLITE)
    if address.startswith(SQLITE) and path:
        return SqliteLedger(path, limits_of, rules, prices, now=now)
    # The address is not repeated: it may hold a password.
    raise StartError("quota.store: this version keeps its ledger at memory: or sqlite:///FILE.")
