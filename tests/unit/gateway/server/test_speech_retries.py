"""Orders that are sent again: whose they are, and for how long they are known.

Invariant under test: another caller, another body and another day is another order; memory is bounded.
It must not know streams.
"""

import pytest

from gateway.model import Principal, StreamId
from gateway.protocol.openai import SpeechBody
from gateway.quota.uses import MemoryUses
from gateway.server.speech_retries import KEPT_SECONDS, Retries, name_of, tries_of
from gateway.server.tickets import Wanted
from gateway.server.visitor import Visitor
from tests.support.relay import TENANT, Clock
from tests.support.tickets import office

SAID = SpeechBody("hello")
ONE, TWO = StreamId("st_1"), StreamId("st_2")


def visitor(key: str = "k") -> Visitor:
    return Visitor(Principal(TENANT, key), MemoryUses())


def guest() -> Visitor:
    ticket = office().mint(TENANT, Wanted(allow=("create",))).ticket
    return Visitor(Principal(TENANT, "ticket x", guest=True), MemoryUses(), ticket)


@pytest.mark.parametrize(
    ("said", "tries"), [("0", 0), ("2", 2), ("", None), ("-1", None), ("one", None), ("٣", None), ("9" * 7, None)]
)
def test_tries_are_a_small_number(said: str, tries: int | None) -> None:
    """Whatever else stands there is no count."""
    assert tries_of({"X-Stainless-Retry-Count": said}) == tries
    assert tries_of({}) is None


def test_an_order_is_known_by_its_caller_and_its_body() -> None:
    """Another key of the tenant is another caller, and so is each ticket."""
    names = [name_of(visitor(), SAID), name_of(visitor("l"), SAID), name_of(guest(), SAID)]
    names.append(name_of(visitor(), SpeechBody("hello", speed=2.0)))
    assert len(set(names)) == 4
    assert name_of(visitor(), SpeechBody("hello")) == names[0]


def test_the_newest_order_is_known_until_its_time_is_over() -> None:
    """A repeated order replaces the one before, and its time begins anew."""
    clock = Clock()
    retries, name = Retries(now=clock), name_of(visitor(), SAID)
    assert retries.known(name) is None
    retries.remember(name, ONE)
    clock.at += KEPT_SECONDS - 1
    retries.remember(name, TWO)
    clock.at += KEPT_SECONDS - 1
    assert retries.known(name) == TWO
    clock.at += 1
    assert retries.known(name) is None
    assert not retries._made


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    """The oldest goes first."""
    retries = Retries(kept=2)
    names = [name_of(visitor(key), SAID) for key in "abc"]
    for name in names:
        retries.remember(name, ONE)
    assert [retries.known(name) for name in names] == [None, ONE, ONE]
