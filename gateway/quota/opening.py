"""From the address of a store to its ledger: `memory:`, `sqlite:///usage.db`, `redis://host:6379/0`, `rediss://…`.

Invariant: three slashes and a path that is relative to where the gateway was started, or four and an absolute one, as
other programs write it; a ledger on Redis has a connection of its own. It must not open what it makes.
"""

import time
from collections.abc import Callable

from gateway.config.schema import Limits
from gateway.errors import StartError
from gateway.model import TenantId
from gateway.quota.ledger import Ledger
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices
from gateway.quota.redis import RedisLedger
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.standby import StandbyLedger
from gateway.quota.volatile import VolatileLedger
from gateway.redis.connection import Redis

SQLITE = "sqlite:///"
REDIS = ("redis://", "rediss://")


def ledger_at(
    address: str,
    limits_of: Callable[[TenantId], Limits],
    rules: Rules,
    prices: Prices,
    *,
    now: Callable[[], float] | None = None,
    alone: bool = False,
) -> Ledger:
    """The ledger of this address, to be opened and closed by whoever asked. Raises StartError for others.

    Without `now` it is the machine's time, or that of the Redis that several share. One on Redis that may go on
    `alone` grants from memory while Redis is away.
    """
    if address == "memory:":
        return VolatileLedger(limits_of, rules, prices, now=now or time.time)
    path = address.removeprefix(SQLITE)
    if address.startswith(SQLITE) and path:
        return SqliteLedger(path, limits_of, rules, prices, now=now or time.time)
    if address.startswith(REDIS):
        try:
            shared = RedisLedger(Redis(address), limits_of, rules, prices, now=now)
        except ValueError:
            raise StartError("quota.store: a ledger on Redis is at redis://[user:password@]host[:port][/db].") from None
        return StandbyLedger(shared, limits_of, rules, prices, alone=alone, now=now or time.time)
    # The address is not repeated: it may hold a password.
    raise StartError("quota.store: a ledger is kept at memory:, sqlite:///FILE or redis://HOST.")
