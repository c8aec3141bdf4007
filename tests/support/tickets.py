"""What the tests of tickets share: an office whose chance and clock stand, tickets of every kind, and their bytes.

Invariant: two offices of the same secret are the same office at two times. Nothing here sleeps or reads a clock.
It must not know what a ticket's bytes mean.
"""

import random
from base64 import urlsafe_b64decode, urlsafe_b64encode

from hypothesis import strategies as st

from gateway.errors import AccessError
from gateway.server.signing import SECRET_BYTES, SigningKeys
from gateway.server.tickets import (
    MAX_AUDIO_SECONDS,
    MAX_STREAM_ID,
    MAX_TTL_SECONDS,
    MAX_USES,
    PREFIX,
    TicketOffice,
    Wanted,
)
from tests.support.relay import Clock

SECRET = b"s" * SECRET_BYTES
NOW = 1_800_000_000.0
VAGUE = "This ticket is not valid."


def office(clock: Clock | None = None, *secrets_of: bytes, **times: int) -> TicketOffice:
    """Its chance is the same each time, so that a failure can be had again."""
    chance = random.Random(7).randbytes
    return TicketOffice(SigningKeys(secrets_of or [SECRET], **times), now=clock or Clock(NOW), token_bytes=chance)


def code_of(place: TicketOffice, token: str, origin: str | None = None) -> str | None:
    """The code with which a token is refused; None if it is good. Of bad ones nobody learns why."""
    try:
        place.verify(token, origin)
    except AccessError as refused:
        return refused.code if (refused.code != "bad_credentials" or refused.message == VAGUE) else refused.message
    return None


def octets(token: str) -> bytes:
    body = token.removeprefix(PREFIX)
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))


def token_of(data: bytes) -> str:
    return PREFIX + urlsafe_b64encode(data).rstrip(b"=").decode()


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True)
ORIGINS = st.from_regex(r"https?://[a-z0-9.-]{1,200}(:[0-9]{1,5})?", fullmatch=True)
LISTENING = st.fixed_dictionaries(
    {"allow": st.just(["listen"])},
    optional={"stream_id": st.text("abcdefst_0123456789", min_size=1, max_size=MAX_STREAM_ID)},
)
CREATING = st.fixed_dictionaries(
    {"allow": st.sampled_from([["create"], ["listen", "create"], ["create", "create", "listen"]])},
    optional={"max_audio_seconds": st.integers(1, MAX_AUDIO_SECONDS)},
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "ttl_seconds": st.integers(1, MAX_TTL_SECONDS),
        "uses": st.integers(0, MAX_USES),
        "origin": ORIGINS,
    },
)
WANTED = st.builds(lambda one, two: Wanted(**one, **two), LISTENING | CREATING, LIMITS)
