"""The section `server`: what it refuses.

Invariant under test: a value out of bounds is an error before anything listens.
It must not know how values are loaded.
"""

from typing import Any

import msgspec
import pytest

from gateway.config.server import Server


@pytest.mark.parametrize(
    "values",
    [
        {"port": -1},
        {"port": 65536},
        {"workers": 0},
        {"ping_interval": 0},
        {"ping_interval": float("inf")},
        {"ping_interval": float("nan")},
        {"max_connections": -1},
        {"max_connections": 1.5},
        {"proxy_headers": "via"},
        {"trusted_proxies": ["proxy.example"]},
        {"prot": 1},
    ],
)
def test_bounds(values: dict[str, Any]) -> None:
    """A value out of bounds, a word that is none of its words and an unknown key are all refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, Server)


def test_what_a_stranger_may_is_bounded_by_default() -> None:
    """Nobody who has configured nothing stands open."""
    server = Server()
    assert all((server.max_connections, server.handshake_timeout, server.authentication_timeout))
    assert all((server.max_message_bytes, server.session_lifetime, server.ping_timeout))
