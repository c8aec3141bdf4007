"""The table of addresses: who counts as one, what each may have, and how little is remembered of them all.

Invariant under test: a flood of addresses makes the table no larger, and no address pays for another.
It must not know sockets.
"""

import pytest

from gateway.config.server import Server
from gateway.errors import LimitError
from gateway.server import prefixes as module
from gateway.server.claim import Claim
from gateway.server.forwarding import Forwarding
from gateway.server.prefixes import Prefixes
from metrics.recorder import Recorder
from tests.support.relay import Clock

HERE, THERE = "203.0.113.9", "203.0.113.10"


class Table:
    """A table and what stands around it; proxies are those of 10.0.0.0/8."""

    def __init__(self, **limits: int) -> None:
        self.clock, self.recorder = Clock(), Recorder()
        trusts = Forwarding(["10.0.0.0/8"]).trusts
        self.prefixes = Prefixes(Server(**limits), trusts, self.recorder, self.clock)

    def refused(self, reason: str) -> float:
        return self.recorder.registry.get_sample_value("wavegate_refusals_total", {"reason": reason}) or 0.0


def test_so_many_connections_at_once() -> None:
    """429 for one more, whoever else is there; a place that is free again can be had, and is free once."""
    table = Table(max_connections_per_address=2)
    first, second = table.prefixes.enter(HERE), table.prefixes.enter(HERE)
    with pytest.raises(LimitError) as refused:
        table.prefixes.enter(HERE)
    assert (refused.value.code, refused.value.handling.status) == ("concurrency_exceeded", 429)
    assert refused.value.retry_after
    table.prefixes.enter(THERE)
    first.leave()
    first.leave()
    third = table.prefixes.enter(HERE)
    with pytest.raises(LimitError):
        table.prefixes.enter(HERE)
    second.leave()
    third.leave()
    assert table.refused("address_connections") == 2.0


def test_new_connections_a_minute() -> None:
    """They may all come at once; whoever comes too fast is told when to come."""
    table = Table(connections_per_minute_per_address=60)
    for _ in range(60):
        table.prefixes.arrive(HERE)
    with pytest.raises(LimitError) as refused:
        table.prefixes.arrive(HERE)
    assert refused.value.code == "rate_exceeded"
    assert refused.value.retry_after == pytest.approx(1.0)
    table.prefixes.arrive(THERE)
    table.clock.at += 1.0
    table.prefixes.arrive(HERE)
    assert table.refused("address_rate") == 1.0


def test_requests_and_guesses_of_all_its_connections_together() -> None:
    """Of ten seconds at once, and of a minute."""
    table = Table(requests_per_minute_per_address=6, bad_credentials_per_minute_per_address=2)
    first, second = table.prefixes.enter(HERE), table.prefixes.enter(HERE)
    first.request()
    with pytest.raises(LimitError):
        second.request()
    first.guessed()
    second.guessed()
    with pytest.raises(LimitError):
        first.guessed()
    assert first.parting
    assert not second.parting
    assert table.refused("credentials") == 1.0


@pytest.mark.parametrize("address", [None, "", "/run/wavegate.sock", "127.0.0.1", "127.9.9.9", "::1", "10.1.2.3"])
def test_who_has_no_limit(address: str | None) -> None:
    """This machine, what has no address, and proxies, which speak for many."""
    limits = dict.fromkeys(
        ("max_connections_per_address", "connections_per_minute_per_address", "requests_per_minute_per_address"), 1
    )
    table = Table(**limits)
    for _ in range(3):
        table.prefixes.arrive(address)
        claim = table.prefixes.enter(address)
        claim.request()
        claim.guessed()
    assert len(table.prefixes) == 0
    assert table.prefixes.proxied("10.1.2.3")
    assert not table.prefixes.proxied(HERE)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.9", HERE, True),
        ("203.0.113.9:4711", HERE, True),
        (HERE, THERE, False),
    ],
)
def test_which_addresses_are_one(one: str, other: str, *, same: bool) -> None:
    """The first 64 bits of IPv6, the whole of IPv4, in whatever way it is written."""
    table = Table(max_connections_per_address=1)
    table.prefixes.enter(one)
    if same:
        with pytest.raises(LimitError):
            table.prefixes.enter(other)
    else:
        table.prefixes.enter(other)


def test_zero_is_no_limit() -> None:
    """Of each of them."""
    names = ("max_connections", "connections_per_minute", "requests_per_minute", "bad_credentials_per_minute")
    table = Table(**{f"{name}_per_address": 0 for name in names})
    for _ in range(5000):
        table.prefixes.arrive(HERE)
        claim = table.prefixes.enter(HERE)
        claim.request()
        claim.guessed()


def test_a_flood_of_addresses_makes_the_table_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are away longest are forgotten; who is here is not, and nor is what it has had."""
    monkeypatch.setattr(module, "MOST_AWAY", 100)
    table = Table(max_connections_per_address=1, connections_per_minute_per_address=1)
    table.prefixes.arrive(HERE)
    here = table.prefixes.enter(HERE)
    for number in range(10_000):
        table.prefixes.arrive(f"2001:db8:{number >> 8:x}:{number & 255:x}::1")
    assert len(table.prefixes) == 101
    with pytest.raises(LimitError):
        table.prefixes.enter(HERE)
    here.leave()
    assert len(table.prefixes) == 100
    with pytest.raises(LimitError):
        table.prefixes.arrive(HERE)
    with pytest.raises(LimitError):
        table.prefixes.arrive("2001:db8:27:f::9")
    table.prefixes.arrive("2001:db8:0:1::1")


def test_what_is_written_of_an_address(caplog: pytest.LogCaptureFixture) -> None:
    """As people write it, with what it had too much of."""
    table = Table(max_connections_per_address=1)
    claims: list[Claim] = []
    for address in (HERE, "2001:db8:1:2::1"):
        claims.append(table.prefixes.enter(address))
        with pytest.raises(LimitError):
            table.prefixes.enter(address)
    assert [claim._prefix.text for claim in claims if claim._prefix is not None] == [HERE, "2001:db8:1:2::/64"]
    assert len([record for record in caplog.records if "address.limited" in record.getMessage()]) == 2
