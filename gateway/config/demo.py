"""The configuration of a demo: this machine only, the simulator as the provider, a tenant whose key everybody knows.

Invariant: nothing of a demo leaves the machine, buys anything or is written down, whatever was configured.
It must not know how a simulator is made.
"""

from urllib.parse import urlsplit

import msgspec

from gateway.config.schema import Cluster, Config, Tenant
from gateway.config.secret import key_hash

DEMO_KEY = "demo"
# The built-in simulator sings this many times faster than real time, so that a visitor need not wait for the end.
DEMO_SPEED = 3.0


def demo_config(config: Config, simulator_url: str) -> Config:
    """The configuration of a demo: loopback only, the simulator as the provider, tenant `demo` with the key `demo`."""
    server = msgspec.structs.replace(
        config.server, host="127.0.0.1", internal_host="127.0.0.1", ticket_secret_file=None
    )
    upstream = msgspec.structs.replace(
        config.upstream,
        base_url=simulator_url,
        workspace_id=None,
        api_key_file=None,
        audio_hosts=["127.0.0.1:*"],
        record_dir=None,
    )
    quota = msgspec.structs.replace(config.quota, store="memory:")
    others = [tenant for tenant in config.tenants if tenant.id != "demo"]
    demo = Tenant(id="demo", keys=[key_hash(DEMO_KEY)])
    return msgspec.structs.replace(
        config,
        server=server,
        upstream=upstream,
        quota=quota,
        # Elsewhere it would let a key that everybody knows into the gateway that is there.
        cluster=config.cluster if _at_home(config.cluster.redis_url) else Cluster(),
        log=msgspec.structs.replace(config.log, traces_endpoint=None),
        tenants=[*others, demo],
    )


def _at_home(redis_url: str | None) -> bool:
    """Whether this is a Redis of this machine."""
    try:
        return redis_url is not None and urlsplit(redis_url).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False
