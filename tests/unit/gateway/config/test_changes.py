"""What differs between two configurations: every key once, in the right list, and no value.

Invariant under test: a key that the schema does not call live waits for a restart.
It must not know how a change is taken up.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.config.changes import Changes, changes
from gateway.config.schema import Config, Limits, Log, Relay, Tenant
from gateway.config.server import Server

TLS = {"tls_certificate_file": "a.pem", "tls_key_file": "a.key"}


def of(**server: Any) -> Config:
    return Config(server=Server(**server))


def test_the_same_is_no_change() -> None:
    """However it was made."""
    assert changes(Config(), Config(tenants=[])) == Changes()


def test_each_key_is_named_once() -> None:
    """Those that hold now and those that wait, in the order of the schema."""
    new = Config(
        server=Server(port=1, trusted_proxies=["::1"], drain_timeout=1.0),
        relay=Relay(live_lag=1.0),
        tenants=[Tenant(id="acme")],
        log=Log(level="debug"),
    )
    assert changes(Config(), new) == Changes(
        ("server.trusted_proxies", "tenants", "log.level"), ("server.port", "server.drain_timeout", "relay.live_lag")
    )


def test_whatever_is_different_in_a_tenant_is_its_tenants() -> None:
    """Names and values stay where they are."""
    old = Config(tenants=[Tenant(id="acme")])
    assert changes(old, replace(old, tenants=[Tenant(id="acme", limits=Limits(listeners=1))])).live == ("tenants",)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (TLS, {**TLS, "tls_key_file": "b.key"}, Changes(("server.tls_key_file",))),
        ({}, TLS, Changes((), ("server.tls_certificate_file", "server.tls_key_file"))),
        (TLS, {}, Changes((), ("server.tls_certificate_file", "server.tls_key_file"))),
    ],
)
def test_tls_begins_and_ends_at_a_start(old: dict[str, str], new: dict[str, str], found: Changes) -> None:
    """Other files are taken up, where there were some."""
    assert changes(of(**old), of(**new)) == found
