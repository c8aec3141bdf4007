"""The keys that sign tickets: rotation, grace, and what tells them apart.

Invariant under test: a signature is good for its message, its key and its secret alone, from the beginning of the key
until the end of its grace. It must not know what is signed.
"""

import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.secret import SecretFileError
from gateway.server import signing
from gateway.server.signing import (
    GRACE_SECONDS,
    LEEWAY_SECONDS,
    SECRET_BYTES,
    SIGNATURE_BYTES,
    SigningKeys,
    read_ticket_secrets,
)
from gateway.server.tickets import MAX_TTL_SECONDS

SECRET, OLDER, FOREIGN = b"a" * SECRET_BYTES, b"b" * SECRET_BYTES, b"c" * SECRET_BYTES
MESSAGE = b"what is signed"
KEYS = SigningKeys([SECRET], rotation=100, grace=50)


def test_the_key_changes_with_the_time() -> None:
    """It is named after its beginning; each makes another signature of the same message."""
    assert [KEYS.current(at) for at in (0.0, 99.9, 100.0, 199.9, 250.0)] == [0, 0, 100, 100, 200]
    made = {KEYS.sign(key, MESSAGE) for key in (0, 100, 200)}
    assert len(made) == 3
    assert {len(one) for one in made} == {SIGNATURE_BYTES}


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (300.0 - LEEWAY_SECONDS - 0.1, False),
        (300.0 - LEEWAY_SECONDS, True),
        (300.0, True),
        (399.9, True),
        (400.0, True),
        (449.9, True),
        (450.0, False),
        (1e6, False),
    ],
)
def test_a_key_is_honoured_from_its_beginning_to_the_end_of_its_grace(at: float, good: bool) -> None:
    """A little before it, for clocks differ; after its last signature for the time of the grace, and then never."""
    assert KEYS.honours(300, at) is good


@pytest.mark.parametrize("key", [-1, 2**32])
def test_a_name_that_no_key_has_is_not_honoured(key: int) -> None:
    """Whatever time it is."""
    assert not KEYS.honours(key, float(key) + 1.0)


@given(now=st.floats(0, 4e9), later=st.floats(0, 4e9))
def test_what_is_signed_is_honoured_for_the_whole_grace(now: float, later: float) -> None:
    """At whatever moment of its key's time it was signed."""
    key = KEYS.current(now)
    assert KEYS.signed(key, MESSAGE, KEYS.sign(key, MESSAGE))
    assert KEYS.honours(key, now)
    if now <= later < now + 50:
        assert KEYS.honours(key, later)
    if later >= now + 150:
        assert not KEYS.honours(key, later)


def test_another_gateway_and_another_start_sign_alike() -> None:
    """The secret and the time are all that a key is made of."""
    again = SigningKeys([SECRET], rotation=100, grace=50)
    assert again.signed(100, MESSAGE, KEYS.sign(100, MESSAGE))


def test_what_somebody_else_signed_is_not_signed() -> None:
    """By another secret, by another key, something else, or only the half of it."""
    signature = KEYS.sign(100, MESSAGE)
    assert not SigningKeys([FOREIGN]).signed(100, MESSAGE, signature)
    assert not KEYS.signed(200, MESSAGE, signature)
    assert not KEYS.signed(100, MESSAGE + b"!", signature)
    assert not KEYS.signed(100, MESSAGE, signature[:16])
    assert not KEYS.signed(100, MESSAGE, b"")


def test_a_secret_is_changed_in_two_steps() -> None:
    """The new one first, the old one behind it: both are honoured, the new one signs; then the old one goes."""
    before, between, after = SigningKeys([OLDER]), SigningKeys([SECRET, OLDER]), SigningKeys([SECRET])
    old = before.sign(0, MESSAGE)
    assert between.signed(0, MESSAGE, old)
    assert not after.signed(0, MESSAGE, old)
    new = between.sign(0, MESSAGE)
    assert after.signed(0, MESSAGE, new)
    assert not before.signed(0, MESSAGE, new)


def test_every_secret_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time does not tell which of them it was, nor how much of a signature was right."""
    compared = []

    class Watched:
        digest = staticmethod(hmac.digest)

        @staticmethod
        def compare_digest(made: bytes, given: bytes) -> bool:
            compared.append(given)
            return hmac.compare_digest(made, given)

    keys = SigningKeys([SECRET, OLDER])
    signature = keys.sign(0, MESSAGE)
    monkeypatch.setattr(signing, "hmac", Watched)
    assert keys.signed(0, MESSAGE, signature)
    assert compared == [signature, signature]


@pytest.mark.parametrize("given_ones", [[], [b"short"], [SECRET, b"short"]])
def test_a_secret_that_can_be_guessed_is_refused(given_ones: list[bytes]) -> None:
    """None, or one of too few bytes; the error does not repeat it."""
    with pytest.raises(ValueError) as refused:
        SigningKeys(given_ones)
    assert "short" not in str(refused.value)


def test_nothing_shows_a_secret() -> None:
    """Not even when the keys are printed."""
    assert "aaaa" not in f"{KEYS!r} {KEYS}"


def test_the_grace_is_longer_than_any_ticket() -> None:
    """So that whoever comes with an old ticket hears that it has expired."""
    assert GRACE_SECONDS > MAX_TTL_SECONDS + LEEWAY_SECONDS


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_file_holds_a_secret_a_line(tmp_path: Path) -> None:
    """In their order; remarks and blank lines are none."""
    file = tmp_path / "tickets"
    file.write_text(f"# of May\n{SECRET.decode()}\n\n# of April\n{OLDER.decode()}\n")
    assert read_ticket_secrets(file) == [SECRET, OLDER]


@pytest.mark.parametrize("text", ["", "# nothing\n", f"{'a' * 32}\nshort-one\n", "short-one"])
def test_a_file_without_good_secrets_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    """The operator learns which file it is, and nobody what stands in it."""
    file = tmp_path / "tickets"
    file.write_text(text)
    with pytest.raises(SecretFileError) as refused:
        read_ticket_secrets(file)
    assert str(file) in str(refused.value)
    assert "short-one" not in str(refused.value)
    assert "aaaa" not in str(refused.value)


def test_a_pad_is_the_same_for_whoever_has_the_secret_and_for_nobody_else() -> None:
    """By key, label and secret; and it is the signature of no message that is signed here."""
    pad = KEYS.pad(100, b"label", 8)
    assert len(pad) == 8
    assert SigningKeys([FOREIGN, SECRET]).pad(100, b"label", 8, 1) == pad
    others = {KEYS.pad(200, b"label", 8), KEYS.pad(100, b"lebal", 8), SigningKeys([FOREIGN]).pad(100, b"label", 8)}
    assert len(others | {pad}) == 4
    assert KEYS.sign(100, b"label")[:8] != pad


def test_who_has_signed_is_told() -> None:
    """By its place among the secrets."""
    signature = SigningKeys([FOREIGN]).sign(100, MESSAGE)
    assert SigningKeys([SECRET, FOREIGN]).signer(100, MESSAGE, signature) == 1
    assert KEYS.signer(100, MESSAGE, signature) is None
