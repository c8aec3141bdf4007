"""What a demo changes of a configuration, whatever that says.

Invariant under test: nothing of it leaves the machine or costs anything.
It must not know how a demo is run.
"""

import pytest

from gateway.config.demo import DEMO_KEY, demo_config
from gateway.config.schema import Cluster, Config, Log, Tenant, Upstream
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


def test_a_demo_keeps_to_itself() -> None:
    """It joins nobody elsewhere, signs with no secret of others, and writes nothing down, here or there."""
    config = Config(
        server=Server(ticket_secret_file="secret.txt"),
        upstream=Upstream(record_dir="answers"),
        cluster=Cluster(redis_url="redis://10.0.0.1"),
        log=Log(traces_endpoint="http://10.0.0.2:4318", level="debug"),
    )
    demo = demo_config(config, "http://127.0.0.1:9999")
    assert (demo.server.ticket_secret_file, demo.upstream.record_dir) == (None, None)
    assert (demo.cluster.redis_url, demo.log.traces_endpoint, demo.log.level) == (None, None, "debug")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("redis://localhost:6379/1", True),
        ("redis://:secret@127.0.0.1", True),
        ("redis://[::1]:6379", True),
        ("redis://redis:6379", False),
        ("redis://127.0.0.1@redis.example", False),
        ("redis://[::1", False),
    ],
)
def test_several_demos_may_be_one_on_this_machine(url: str, kept: bool) -> None:
    """By a Redis that is here, too."""
    demo = demo_config(Config(cluster=Cluster(redis_url=url)), "http://127.0.0.1:9999")
    assert demo.cluster.redis_url == (url if kept else None)


def test_a_demo_adds_its_tenant_and_keeps_the_others() -> None:
    """The tenant `demo` has the key `demo` and no other; a configured one of that name gives way."""
    config = Config(tenants=[Tenant(id="demo", keys=[key_hash("own")]), Tenant(id="acme", keys=[key_hash("k")])])
    tenants = demo_config(config, "http://127.0.0.1:9999").tenants
    assert [(tenant.id, tenant.keys) for tenant in tenants] == [
        ("acme", [key_hash("k")]),
        ("demo", [key_hash(DEMO_KEY)]),
    ]
    assert config.tenants[0].keys == [key_hash("own")], "the configuration itself is not changed"
