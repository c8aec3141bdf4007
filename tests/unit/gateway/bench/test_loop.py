"""The loop's figures, the gateway's configuration, and a crowd that is not all there.

Invariant under test: figures of a crowd that was not whole are not given.
It must not start a gateway: that is tried with the whole bench.
"""

import secrets

import pytest

from gateway.app import Gateway
from gateway.bench.benches import BenchError
from gateway.bench.loop import Crowd, assembled, config, rows
from gateway.config.schema import Limits
from gateway.config.section import keys_of


def test_the_figures_are_milliseconds() -> None:
    """The busy loop has a target."""
    idle, busy, beside = rows([0.0001] * 100, [0.0005] * 98 + [0.003, 0.05], [0.0001, 0.002])
    assert (idle.value, idle.verdict) == (pytest.approx(0.1), "")
    assert (busy.value, busy.verdict, busy.spread) == (pytest.approx(3), "over", "p50 0.50, p99.9 50.0, max 50")
    assert (beside.value, beside.verdict) == (pytest.approx(2), "")


def test_there_is_room_for_everybody() -> None:
    """No limit of a tenant is in the way, nor what a tenant with half of all encodes leaves to others."""
    crowd = Crowd()
    made = config("http://127.0.0.1:1", secrets.token_urlsafe(), crowd)
    (tenant,) = made.tenants
    assert not any(getattr(tenant.limits, known.name) for known in keys_of(Limits))
    assert made.transcode.max_encodings >= 1.5 * crowd.streams


async def test_a_crowd_that_does_not_come_is_told() -> None:
    """With the numbers."""
    crowd = Crowd(3, 4)
    gateway = Gateway(config("http://127.0.0.1:1", secrets.token_urlsafe(), crowd), "key")
    with pytest.raises(BenchError, match="0 renditions ran and 0 listened, not 3 and 4"):
        await assembled(gateway, crowd, 0.06)
    await assembled(gateway, Crowd(0, 0))
