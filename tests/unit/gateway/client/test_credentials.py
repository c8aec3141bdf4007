"""Who a client is: what is refused before anybody is asked, and tickets that are got anew.

Invariant under test: nothing that would break a header gets through, and no secret is in what is said or shown.
No network is involved.
"""

from typing import Any

import pytest

from gateway.client.credentials import Credentials
from gateway.client.errors import ClientError


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "missing_credentials"),
        ({"key": ""}, "invalid_key"),
        ({"key": "a b"}, "invalid_key"),
        ({"key": "a\r\nX-Evil: 1"}, "invalid_key"),
        ({"key": "schlüssel"}, "invalid_key"),
        ({"ticket": "wt_\udcff"}, "invalid_ticket"),
        ({"ticket": ""}, "invalid_ticket"),
    ],
)
def test_credentials_are_looked_at_first(options: dict[str, str], code: str) -> None:
    """Without any, or with some that would break a header, there is no client."""
    with pytest.raises(ClientError) as caught:
        Credentials(**options)
    assert caught.value.code == code
    assert "Evil" not in caught.value.message


async def test_a_ticket_is_the_same_or_a_new_one() -> None:
    """A string stays, a function is asked each time, and what it gives is looked at, too."""
    given = iter(["one", "two", "zwölf"])

    async def ticket() -> str:
        return next(given)

    fixed, fresh = Credentials(ticket="wt_1"), Credentials(ticket=ticket)
    assert [await fixed.ticket(), await fixed.ticket(), fixed.renewable] == ["wt_1", "wt_1", False]
    assert [await fresh.ticket(), await fresh.ticket(), fresh.renewable] == ["one", "two", True]
    with pytest.raises(ClientError) as caught:
        await fresh.ticket()
    assert caught.value.code == "invalid_ticket"
    assert "zw" not in caught.value.message


async def test_with_both_the_key_counts() -> None:
    """A ticket is then neither asked for nor sent."""

    async def ticket() -> str:
        raise AssertionError

    both: Any = Credentials("secret", ticket)
    assert (both.key, await both.ticket(), both.renewable) == ("secret", None, False)
    assert "secret" not in repr(both)
