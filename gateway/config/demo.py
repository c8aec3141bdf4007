"""The configuration of a demo: this machine only, the simulator as the provider, a tenant whose key everybody knows.

Invariant: nothing of a demo leaves the machine, buys anything or is written down, whatever was configured.
It must not know how a simulator is made.
"""

import msgspec

from gateway.config.schema import Config, Tenant
from gateway.config.secret import key_hash

DEMO_KEY = "demo"
# The built-in simulator sings this many times faster than real time, so that a visitor need not wait for the end.
DEMO_SPEED = 3.0


def demo_config(config: Config, simulator_url: str) -> Config:
    """The configuration of a demo: loopback only, the simulator as the provider, tenant `demo` with the key `demo`."""
    server = msgspec.structs.replace(config.server, host="127.0.0.1", internal_host="127.0.0.1")
    upstream = msgspec.structs.replace(
        config.upstream, base_url=simulator_url, workspace_id=None, api_key_file=None, audio_hosts=["127.0.0.1:*"]
    )
    quota = msgspec.structs.replace(config.quota, store="memory:")
    others = [tenant for tenant in config.tenants if tenant.id != "demo"]
    demo = Tenant(id="demo", keys=[key_hash(DEMO_KEY)])
    return msgspec.structs.replace(config, server=server, upstream=upstream, quota=quota, tenants=[*others, demo])
