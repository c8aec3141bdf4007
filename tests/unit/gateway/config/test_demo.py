"""What a demo changes of a configuration, whatever that says.

Invariant under test: nothing of it leaves the machine or costs anything.
It must not know how a demo is run.
"""

from gateway.config.demo import DEMO_KEY, demo_config
from gateway.config.schema import Config, Tenant, Upstream
from gateway.config.secret import key_hash
from gateway.config.server import Server


def test_a_demo_is_for_this_machine_and_buys_nothing() -> None:
    """Loopback whatever was configured, the simulator for the provider, and no key that could leave the house."""
    config = Config(
        server=Server(host="0.0.0.0", internal_host="0.0.0.0", port=1234),
        upstream=Upstream(workspace_id="llm-x", api_key_file="key.txt", audio_hosts=["*.aliyuncs.com"]),
    )
    demo = demo_config(config, "http://127.0.0.1:9999")
    assert (demo.server.host, demo.server.internal_host, demo.server.port) == ("127.0.0.1", "127.0.0.1", 1234)
    assert (demo.upstream.base_url, demo.upstream.workspace_id) == ("http://127.0.0.1:9999", None)
    assert (demo.upstream.api_key_file, demo.upstream.audio_hosts) == (None, ["127.0.0.1:*"])


def test_a_demo_adds_its_tenant_and_keeps_the_others() -> None:
    """The tenant `demo` has the key `demo` and no other; a configured one of that name gives way."""
    config = Config(tenants=[Tenant(id="demo", keys=[key_hash("own")]), Tenant(id="acme", keys=[key_hash("k")])])
    tenants = demo_config(config, "http://127.0.0.1:9999").tenants
    assert [(tenant.id, tenant.keys) for tenant in tenants] == [
        ("acme", [key_hash("k")]),
        ("demo", [key_hash(DEMO_KEY)]),
    ]
    assert config.tenants[0].keys == [key_hash("own")], "the configuration itself is not changed"
