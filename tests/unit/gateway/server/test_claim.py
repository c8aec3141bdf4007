"""Claims: what a wrong credential costs, and whom.

Invariant under test: only a wrong credential counts as a guess, and only what is past the limit is hidden behind it.
It must not know how much anybody may have.
"""

import pytest

from gateway.errors import AccessError, LimitError
from gateway.server.claim import Claim, Prefix, guarding


class Strict:
    """Lets so many guesses through, and counts who has left."""

    def __init__(self, guesses: int) -> None:
        self.guesses = guesses
        self.gone = 0
        self.requests = 0

    def left(self, prefix: Prefix) -> None:
        self.gone += 1

    def request(self, prefix: Prefix) -> None:
        self.requests += 1

    def guessed(self, prefix: Prefix) -> None:
        self.guesses -= 1
        if self.guesses < 0:
            raise LimitError("rate_exceeded", "Too many.", retry_after=1.0)


def fate(claim: Claim | None, code: str | None) -> str:
    """What becomes of a credential of which is said so."""
    try:
        with guarding(claim):
            if code is not None:
                raise AccessError(code, "No.")
    except (AccessError, LimitError) as error:
        return error.code
    return "in"


def test_wrong_credentials_are_bounded_and_good_ones_are_not() -> None:
    """A neighbour's guesses shut nobody out; whoever has guessed too often loses its connection."""
    claim, other = (Claim(Strict(2), Prefix(b"abcd")) for _ in range(2))
    assert [fate(claim, "bad_credentials") for _ in range(3)] == ["bad_credentials"] * 2 + ["rate_exceeded"]
    assert claim.parting
    assert fate(claim, None) == "in"
    assert fate(other, "bad_credentials") == "bad_credentials"
    assert not other.parting


@pytest.mark.parametrize("code", ["missing_credentials", "credentials_expired", "ticket_used", "origin_forbidden"])
def test_what_is_no_guess(code: str) -> None:
    """A page with an old ticket comes back again and again, and is told so."""
    claim = Claim(Strict(0), Prefix(b"abcd"))
    assert [fate(claim, code) for _ in range(5)] == [code] * 5


def test_without_a_claim_or_a_prefix_nothing_is_counted() -> None:
    """Of a proxy's own, and in the demo."""
    keeper = Strict(0)
    claim = Claim(keeper, None)
    claim.request()
    claim.leave()
    assert [fate(one, "bad_credentials") for one in (None, claim)] == ["bad_credentials"] * 2
    assert (keeper.guesses, keeper.gone, keeper.requests) == (0, 0, 0)


def test_it_is_left_once() -> None:
    keeper = Strict(0)
    claim = Claim(keeper, Prefix(b"abcd"))
    claim.request()
    claim.leave()
    claim.leave()
    assert (keeper.gone, keeper.requests) == (1, 1)
