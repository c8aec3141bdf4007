"""Tests of what a setting may be: each kind takes what it says, and refuses what looks like it.

Invariant under test: no kind lets a newline or an infinity through.
It must not know which settings there are.
"""

from typing import Any

import msgspec
import pytest

from gateway.config import kinds

GOOD: list[tuple[Any, list[Any]]] = [
    (kinds.Port, [0, 65535]),
    (kinds.Seconds, [0.001, 1e9]),
    (kinds.Count, [0]),
    (kinds.AtLeastOne, [1]),
    (kinds.Weight, [0.01, 1000]),
    (kinds.HttpUrl, ["http://h", "https://h:1/a/b"]),
    (kinds.RedisUrl, ["redis://h", "rediss://h"]),
    (kinds.StoreUrl, ["memory:", "sqlite:///usage.db", "redis://h"]),
    (kinds.UrlPath, ["/", "/v1/x"]),
    (kinds.Origin, ["https://play.example", "null"]),
    (kinds.WorkspaceId, ["llm-xxx", "a" * 64]),
    (kinds.TenantName, ["acme", "0-a_b"]),
    (kinds.KeyHash, ["sha256:" + "0a" * 32]),
    (kinds.Abandon, ["finish", "cancel", "30s", "1.5s"]),
]
BAD: list[tuple[Any, list[Any]]] = [
    (kinds.Port, [-1, 65536]),
    (kinds.Seconds, [0, float("inf"), 2e9]),
    (kinds.Count, [-1]),
    (kinds.AtLeastOne, [0]),
    (kinds.Weight, [0, -1, 1001, float("inf")]),
    (kinds.HttpUrl, ["ftp://h", "http://h?x=1", "http://h/a b", "http://h/\n"]),
    (kinds.RedisUrl, ["http://h"]),
    (kinds.StoreUrl, ["memory", "memory:\n", "mysql://h"]),
    (kinds.UrlPath, ["x", "/a?b", "/a\n"]),
    (kinds.Origin, ["https://play.example/", "", "a b", "https://x\n"]),
    (kinds.WorkspaceId, ["", "-a", "a.b", "a" * 65, "a\n"]),
    (kinds.TenantName, ["Acme", "-a", "a" * 65, "a\n"]),
    (kinds.KeyHash, ["sha256:00", "0a" * 32, "sha256:" + "0A" * 32]),
    (kinds.Abandon, ["later", "30", "s", "30s\n"]),
]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GOOD for value in values])
def test_a_kind_takes_what_it_says(kind: Any, value: Any) -> None:
    """Up to the ends of its range."""
    assert msgspec.convert(value, kind) == value


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD for value in values])
def test_a_kind_refuses_what_looks_like_it(kind: Any, value: Any) -> None:
    """Beyond the ends, and in another form."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, kind)
