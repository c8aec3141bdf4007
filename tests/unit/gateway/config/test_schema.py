"""The schema as data: every key documented, every default valid, marks and sections read back.

Invariant: the tests go over all keys, so that a key added later is held to the same rules.
They must not know how values are loaded or printed.
"""

from typing import Any

import msgspec
import pytest

from gateway.config.schema import Config, Limits, Tenant, Upstream
from gateway.config.section import Key, Section, keys_of


def all_keys(section: type[Section] = Config, path: str = "") -> list[tuple[str, Key]]:
    found = []
    for key in keys_of(section):
        found.append((f"{path}{key.name}", key))
        if key.item:
            found += all_keys(key.item, f"{path}{key.name}.")
    return found


ALL = all_keys()


@pytest.mark.parametrize("key", [pytest.param(key, id=path) for path, key in ALL])
def test_documented_and_valid(key: Key) -> None:
    """Every key has a sentence that ends in a full stop, and a default that its own type accepts."""
    assert key.doc.endswith(".")
    if key.default is not msgspec.NODEFAULT:
        assert msgspec.convert(msgspec.to_builtins(key.default), key.kind) == key.default


def test_sections_of_the_contract() -> None:
    """The file has the nine sections that the contract names, each a section of ours."""
    names = [key.name for key in keys_of(Config)]
    assert names == ["server", "upstream", "relay", "transcode", "tenants", "quota", "cluster", "metrics", "log"]
    assert all(key.item for key in keys_of(Config))
    assert [key.name for key in keys_of(Config) if key.many] == ["tenants"]


def test_marks() -> None:
    """Secret keys are told apart from the rest."""
    secret = {path for path, key in ALL if key.secret}
    assert secret == {
        "server.ticket_secret_file",
        "server.tls_key_file",
        "server.tls_passphrase_file",
        "upstream.api_key_file",
        "tenants.keys",
        "quota.store",
        "cluster.redis_url",
    }


def test_what_a_running_gateway_takes_up_is_marked() -> None:
    """Tenants and what is in front of the gateway; all else holds until the next start."""
    assert {path for path, key in ALL if key.live} == {
        "server.tls_certificate_file",
        "server.tls_key_file",
        "server.tls_passphrase_file",
        "server.trusted_proxies",
        "server.proxy_headers",
        "tenants",
        "log.level",
    }


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Upstream, {"base_url": "ftp://dashscope.aliyuncs.com"}),
        (Upstream, {"base_url": "https://"}),
        (Upstream, {"base_url": "https://host/?key=1"}),
        (Upstream, {"path": "api"}),
        (Upstream, {"workspace_id": "evil.example/"}),
        (Upstream, {"workspace_id": "llm-1\n"}),
        (Upstream, {"model": "fun-music-v0"}),
        (Tenant, {"id": "Acme"}),
        (Tenant, {"id": "acme\n"}),
        (Tenant, {"id": "acme", "keys": ["sha256:abc"]}),
        (Tenant, {"id": "acme", "allowed_origins": ["https://play.example/"]}),
        (Tenant, {"id": "acme", "abandon": "30"}),
        (Limits, {"listeners": -1}),
    ],
)
def test_bounds(section: type[Section], values: dict[str, Any]) -> None:
    """A value out of bounds, a text of the wrong form and an unknown key are all refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, section)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Upstream, {"base_url": "http://127.0.0.1:8000", "workspace_id": "llm-xxx"}),
        (Upstream, {"base_url": "https://proxy.example/dashscope"}),
        (Tenant, {"id": "a-1_b", "keys": ["sha256:" + 64 * "a"], "abandon": "2.5s", "allowed_origins": ["null"]}),
        (Tenant, {"id": "a", "abandon": "cancel"}),
    ],
)
def test_accepts(section: type[Section], values: dict[str, Any]) -> None:
    """What the documentation promises is taken."""
    assert msgspec.to_builtins(msgspec.convert(values, section)).items() >= values.items()
