"""Tests of each tenant's share of those who encode.

Invariant under test: the last places are for those who have few, and an encode that has ended holds none, however it
ended. It must not know what is encoded.
"""

import pytest

from gateway.errors import ServiceError
from gateway.model import TenantId
from gateway.relay.ports import Encoding
from gateway.relay.shares import Shares
from tests.support.encoding import ScriptedEncodings
from transcode.packet import Encoded
from transcode.spec import EncoderSpec

SPEC = EncoderSpec("opus", 48000, 2, 96000)
GREEDY, MODEST = TenantId("greedy"), TenantId("modest")


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def encoded(self, result: Encoded) -> None:
        self.said.append("encoded")

    def failed(self, error: Exception) -> None:
        self.said.append("failed")

    def lost(self) -> None:
        self.said.append("lost")


def fill(shares: Shares, tenant: TenantId, number: int) -> list[Encoding]:
    return [shares.of(tenant).open(SPEC, Sink()) for _ in range(number)]


def refused(shares: Shares, tenant: TenantId) -> None:
    with pytest.raises(ServiceError, match="half of all places") as full:
        shares.of(tenant).open(SPEC, Sink())
    assert (full.value.code, full.value.retry_after) == ("transcoding_full", 2.0)
    with pytest.raises(ServiceError, match="half of all places"):
        shares.of(tenant).admit()


def test_the_last_places_are_for_those_who_have_few() -> None:
    """Of ten places eight can be one tenant's; the other two are for others, and then all are taken."""
    shares = Shares(ScriptedEncodings(10))
    assert (shares.room, shares.of(GREEDY).room) == (10, 10)
    fill(shares, GREEDY, 8)
    refused(shares, GREEDY)
    shares.of(MODEST).admit()
    fill(shares, MODEST, 2)
    for ask in (lambda share: share.admit(), lambda share: share.open(SPEC, Sink())):
        with pytest.raises(ServiceError, match="No room"):
            ask(shares.of(TenantId("late")))


def test_who_has_less_than_half_may_have_the_last_ones() -> None:
    """Half of it taken by others, a tenant goes on up to its own half."""
    shares = Shares(ScriptedEncodings(10))
    fill(shares, MODEST, 4)
    fill(shares, GREEDY, 5)
    refused(shares, GREEDY)
    fill(shares, MODEST, 1)


@pytest.mark.parametrize("room", [None, 4])
def test_where_places_are_few_or_without_number_nobody_is_asked(room: int | None) -> None:
    """A fifth of four is none."""
    fill(Shares(ScriptedEncodings(room)), GREEDY, 4)


@pytest.mark.parametrize("ending", ["close", "fail", "kill"])
def test_whatever_ends_gives_its_place_back_once(ending: str) -> None:
    """By its owner's word, by the codec's fault, or with whoever made it; a second word changes nothing."""
    encodings = ScriptedEncodings(10)
    shares = Shares(encodings)
    held = fill(shares, GREEDY, 8)
    if ending == "close":
        for one in held:
            one.close()
    elif ending == "fail":
        encodings.fail(ServiceError("transcoding_failed", "Bad."))
    else:
        encodings.kill()
    held[0].close()
    held[0].close()
    fill(shares, GREEDY, 8)
    refused(shares, GREEDY)


def test_what_is_said_goes_through() -> None:
    """Steps to the one, and answers to the other."""
    encodings, sink = ScriptedEncodings(), Sink()
    encoding = Shares(encodings).of(GREEDY).open(SPEC, sink)
    encoding.step(b"song" * 1000, discontinuity=True, last=True)
    encodings.opened[0].answer_all()
    encodings.fail(ServiceError("transcoding_failed", "Bad."))
    assert sink.said == ["encoded", "failed"]
    assert encodings.opened[0].steps == [(b"song" * 1000, True, True)]
