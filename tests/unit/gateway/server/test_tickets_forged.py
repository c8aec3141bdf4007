"""Tickets that were changed, made up or signed by somebody else.

Invariant under test: of whatever was not given out exactly like this, nothing but `bad_credentials` comes out, in one
sentence. It must not know how tickets come in.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.signing import SECRET_BYTES, SIGNATURE_BYTES, SigningKeys
from gateway.server.tickets import PREFIX, Wanted
from tests.support.relay import TENANT
from tests.support.tickets import NOW, SECRET, WANTED, code_of, octets, office, token_of

# -- what is not believed --------------------------------------------------------------------------------------------


@given(wanted=WANTED, data=st.data())
def test_whatever_is_changed_nothing_but_bad_credentials_comes_out(wanted: Wanted, data: st.DataObject) -> None:
    """Any bits of any bytes, at any place: the version, the key, the claims, the signature."""
    place = office()
    token = place.mint(TENANT, wanted).token.reveal()
    raw = bytearray(octets(token))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = token_of(bytes(raw))
    assert code_of(place, changed, wanted.origin) == (None if changed == token else "bad_credentials")


@given(data=st.data())
def test_whatever_letters_are_changed_nothing_but_bad_credentials_comes_out(data: st.DataObject) -> None:
    """In the text as well, where base64 has several ways to write the same bytes."""
    place = office()
    token = place.mint(TENANT, Wanted()).token.reveal()
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(exclude_characters=token[at]))
    assert code_of(place, token[:at] + letter + token[at + 1 :]) == "bad_credentials"


def test_there_is_one_way_to_write_a_ticket() -> None:
    """Each last letter in turn, padding, the other alphabet, spaces, and what stands before or behind."""
    place = office()
    for wanted in (Wanted(), Wanted(stream_id="a"), Wanted(stream_id="ab")):
        token = place.mint(TENANT, wanted).token.reveal()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/="
        others = [token[:-1] + letter for letter in alphabet if letter != token[-1]]
        others += [token + "=", token + "==", token + "\n", " " + token, token + "A", token + token, token[:-1]]
        others += [
            token.removeprefix(PREFIX),
            PREFIX + token,
            token.replace("w", "W", 1),
            token[:20] + " " + token[20:],
        ]
        assert {code_of(place, other) for other in others} == {"bad_credentials"}


@given(st.text(max_size=500) | st.binary(max_size=300).map(token_of))
def test_noise_is_no_ticket(noise: str) -> None:
    """Text of any kind, and any bytes in a ticket's clothes."""
    assert code_of(office(), noise) == "bad_credentials"


@pytest.mark.parametrize(
    "noise", ["", PREFIX, token_of(b""), token_of(bytes(31)), token_of(b"\1" * 37), token_of(b"\1" * 38), "\ud800", "é"]
)
def test_what_is_too_short_or_no_text_is_no_ticket(noise: str) -> None:
    """Nothing at all, less than a signature, and a head without claims."""
    assert code_of(office(), noise) == "bad_credentials"


def test_a_long_text_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte costs nothing."""
    monkeypatch.setattr("gateway.server.tickets.urlsafe_b64decode", None)
    assert code_of(office(), PREFIX + "A" * 1_000_000) == "bad_credentials"


@pytest.mark.parametrize("claims", [b"", b"\xc1", b"\x90", b"\x99" + b"\xc0" * 9, b"\x9a" + b"\xc0" * 10, b"\x80"])
def test_claims_of_another_version_are_refused_though_they_are_signed(claims: bytes) -> None:
    """With the right key, too few, too many, of other types, and no MessagePack at all."""
    keys = SigningKeys([SECRET])
    key = keys.current(NOW)
    message = b"\1" + key.to_bytes(4, "big") + claims
    assert code_of(office(), token_of(message + keys.sign(key, message))) == "bad_credentials"


def test_another_gateways_ticket_is_refused() -> None:
    """The secret is another one; everything else is the same."""
    token = office(None, b"f" * SECRET_BYTES).mint(TENANT, Wanted()).token.reveal()
    assert code_of(office(), token) == "bad_credentials"


def test_a_signature_of_one_ticket_is_none_of_another() -> None:
    """Of the same tenant, by the same key."""
    place = office()
    one, two = (octets(place.mint(TENANT, Wanted()).token.reveal()) for _ in range(2))
    assert code_of(place, token_of(one[:-SIGNATURE_BYTES] + two[-SIGNATURE_BYTES:])) == "bad_credentials"
