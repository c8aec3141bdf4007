"""Tickets: what they carry, what is believed of them, and what nobody can make of one.

Invariant under test: what comes back unchanged, in time and to the right page is the ticket that was given out, and
whatever else comes is refused with one code and one sentence. It must not know how tickets come in.
"""

import re
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.secret import redact
from gateway.errors import AccessError, RequestError
from gateway.model import TenantId
from gateway.server.signing import LEEWAY_SECONDS, SECRET_BYTES, SigningKeys
from gateway.server.tickets import (
    MAX_AUDIO_SECONDS,
    MAX_LENGTH,
    MAX_ORIGIN,
    MAX_STREAM_ID,
    MAX_TTL_SECONDS,
    MAX_USES,
    Permission,
    Ticket,
    TicketOffice,
    Wanted,
    is_probe,
)
from tests.support.relay import TENANT, Clock
from tests.support.tickets import NAMES, NOW, SECRET, WANTED, code_of, octets, office

PAGE = "https://play.acme.example"
LISTEN, CREATE = Permission.LISTEN, Permission.CREATE


# -- what it carries -------------------------------------------------------------------------------------------------


@given(tenant=NAMES, wanted=WANTED, now=st.floats(1.6e9, 4e9))
def test_every_claim_comes_back(tenant: str, wanted: Wanted, now: float) -> None:
    """What was asked for is what is verified; it fits into a URL, into a subprotocol, and into its length."""
    place = office(Clock(now))
    minted = place.mint(TenantId(tenant), wanted)
    token = minted.token.reveal()
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert len(token) < MAX_LENGTH
    ticket = place.verify(token, wanted.origin)
    assert ticket == minted.ticket
    assert (ticket.tenant, ticket.stream_id, ticket.uses) == (tenant, wanted.stream_id, wanted.uses)
    assert ticket.allow == set(wanted.allow)
    assert ticket.max_audio_seconds == wanted.max_audio_seconds
    assert ticket.issued_at <= now
    assert now + wanted.ttl_seconds <= ticket.expires_at < now + wanted.ttl_seconds + 1
    assert (ticket.origin is None) == (wanted.origin is None)


def test_the_longest_ticket_is_short_enough() -> None:
    """Every claim at its longest."""
    longest = Wanted(
        stream_id="s" * MAX_STREAM_ID,
        ttl_seconds=MAX_TTL_SECONDS,
        uses=MAX_USES,
        origin="https://" + "o" * (MAX_ORIGIN - 8),
    )
    place = office()
    for wanted in (longest, Wanted(allow=["listen", "create"], max_audio_seconds=MAX_AUDIO_SECONDS, uses=MAX_USES)):
        token = place.mint(TenantId("t" * 64), wanted).token.reveal()
        assert len(token) <= 310


def test_what_is_not_said_is_little() -> None:
    """A minute, once, to listen."""
    ticket = office().mint(TENANT, Wanted()).ticket
    assert (ticket.allow, ticket.uses, ticket.expires_at) == ({LISTEN}, 1, NOW + 60)
    assert (ticket.stream_id, ticket.origin, ticket.max_audio_seconds) == (None, None, None)


def test_no_two_tickets_are_alike() -> None:
    """Of the same wish at the same moment: the id has 128 random bits, and counts are kept by it."""
    place = office()
    minted = [place.mint(TENANT, Wanted()) for _ in range(100)]
    assert len({one.ticket.id for one in minted}) == len({one.token.reveal() for one in minted}) == 100
    assert {len(one.ticket.id) for one in minted} == {16}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"ttl_seconds": -1}, "ttl_seconds"),
        ({"ttl_seconds": MAX_TTL_SECONDS + 1}, "ttl_seconds"),
        ({"ttl_seconds": 10**30}, "ttl_seconds"),
        ({"uses": -1}, "uses"),
        ({"uses": MAX_USES + 1}, "uses"),
        ({"allow": []}, "allow"),
        ({"allow": ["listen", "cancel"]}, "allow"),
        ({"allow": ["Listen"]}, "allow"),
        ({"allow": ["listen", "create"], "stream_id": "st_1"}, "allow"),
        ({"stream_id": ""}, "stream_id"),
        ({"stream_id": "s" * (MAX_STREAM_ID + 1)}, "stream_id"),
        ({"stream_id": "诗" * 22}, "stream_id"),
        ({"stream_id": "\ud800" * 65}, "stream_id"),
        ({"origin": ""}, "origin"),
        ({"origin": "null"}, "origin"),
        ({"origin": "play.acme.example"}, "origin"),
        ({"origin": f"{PAGE}/"}, "origin"),
        ({"origin": f"{PAGE}\n"}, "origin"),
        ({"origin": "https://user@play.acme.example"}, "origin"),
        ({"origin": "https://" + "o" * MAX_ORIGIN}, "origin"),
        ({"max_audio_seconds": 60}, "max_audio_seconds"),
        ({"allow": ["create"], "max_audio_seconds": 0}, "max_audio_seconds"),
        ({"allow": ["create"], "max_audio_seconds": MAX_AUDIO_SECONDS + 1}, "max_audio_seconds"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(wrong: dict[str, Any], param: str) -> None:
    """Out of bounds, unknown, or at odds with another field."""
    with pytest.raises(RequestError) as refused:
        office().mint(TENANT, Wanted(**wrong))
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (-LEEWAY_SECONDS - 0.1, "bad_credentials"),
        (-LEEWAY_SECONDS, None),
        (0.0, None),
        (59.9, None),
        (60.0, None),
        (60.0 + LEEWAY_SECONDS - 0.1, None),
        (60.0 + LEEWAY_SECONDS, "credentials_expired"),
        (1e6, "bad_credentials"),
    ],
)
def test_it_is_good_for_its_time_and_a_leeway(after: float, code: str | None) -> None:
    """Clocks of two machines differ; long after the end not even the key is known any more."""
    token = office().mint(TENANT, Wanted(ttl_seconds=60)).token.reveal()
    assert code_of(office(Clock(NOW + after)), token) == code


@given(ttl=st.integers(1, MAX_TTL_SECONDS), born=st.floats(1.6e9, 4e9), share=st.floats(0, 1))
def test_rotation_takes_no_ticket_its_time(ttl: int, born: float, share: float) -> None:
    """Whenever it was given out and whenever it comes: within its time it is good, and right behind it, expired."""
    token = office(Clock(born)).mint(TENANT, Wanted(ttl_seconds=ttl)).token.reveal()
    assert code_of(office(Clock(born + share * ttl)), token) is None
    assert code_of(office(Clock(born + ttl + 1 + LEEWAY_SECONDS)), token) == "credentials_expired"


def test_a_key_before_is_honoured_within_its_grace() -> None:
    """The key changes every 100 s and is honoured for 200 s more: what it signed is good until then, not after it."""
    rotation = {"rotation": 100, "grace": 200}
    begin = NOW // 100 * 100
    token = office(Clock(begin + 99.0), **rotation).mint(TENANT, Wanted(ttl_seconds=10_000)).token.reveal()
    for after, code in ((100.0, None), (299.9, None), (300.0, "bad_credentials")):
        assert code_of(office(Clock(begin + after), **rotation), token) == code
    newer = office(Clock(begin + 100.0), **rotation).mint(TENANT, Wanted()).token.reveal()
    assert octets(newer)[1:5] != octets(token)[1:5]


def test_a_changed_secret_honours_what_the_old_one_signed() -> None:
    """As long as it stands behind the new one."""
    token = office().mint(TENANT, Wanted()).token.reveal()
    new = b"n" * SECRET_BYTES
    assert code_of(office(None, new, SECRET), token) is None
    assert code_of(office(None, new), token) == "bad_credentials"


# -- where and for what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [None, "", "null", "https://evil.example", "http://play.acme.example", f"{PAGE}:8443", f"{PAGE}/", "\ud800"],
)
def test_a_ticket_of_a_page_is_good_on_no_other(origin: str | None) -> None:
    """Nor where it is not known which page it is; the expired are told so first."""
    clock = Clock(NOW)
    place = office(clock)
    token = place.mint(TENANT, Wanted(origin=PAGE)).token.reveal()
    assert code_of(place, token, PAGE) is None
    assert code_of(place, token, origin) == "origin_forbidden"
    clock.at += 100.0
    assert code_of(place, token, origin) == "credentials_expired"


def test_a_ticket_without_a_page_is_good_on_every() -> None:
    """The tenant's own list is somebody else's to look at."""
    place = office()
    token = place.mint(TENANT, Wanted()).token.reveal()
    assert {code_of(place, token, origin) for origin in (None, PAGE, "https://evil.example")} == {None}


def ticket(**wanted: Any) -> Ticket:
    return office().mint(TENANT, Wanted(**wanted)).ticket


@pytest.mark.parametrize(
    ("wanted", "permission", "stream", "code"),
    [
        ({}, LISTEN, "st_1", None),
        ({}, LISTEN, None, None),
        ({}, CREATE, None, "forbidden"),
        ({"stream_id": "st_1"}, LISTEN, "st_1", None),
        ({"stream_id": "st_1"}, LISTEN, "st_2", "stream_not_found"),
        ({"stream_id": "st_1"}, LISTEN, "ST_1", "stream_not_found"),
        ({"stream_id": "st_1"}, LISTEN, "", "stream_not_found"),
        ({"stream_id": "st_1"}, CREATE, None, "forbidden"),
        ({"allow": ["create"]}, CREATE, None, None),
        ({"allow": ["create"]}, LISTEN, "st_1", "forbidden"),
        ({"allow": ["create", "listen"]}, LISTEN, "st_1", None),
        ({"allow": ["create", "listen"]}, CREATE, None, None),
    ],
)
def test_it_allows_what_it_says(
    wanted: dict[str, Any], permission: Permission, stream: str | None, code: str | None
) -> None:
    """Any other stream does not exist for it, in the words for one that does not; the rest is forbidden."""
    if code is None:
        ticket(**wanted).check(permission, stream)
        return
    with pytest.raises((AccessError, RequestError)) as refused:
        ticket(**wanted).check(permission, stream)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("method", "wanted", "probe"),
    [
        ("HEAD", None, True),
        ("HEAD", "bytes=0-", True),
        ("GET", "bytes=0-1", True),
        ("GET", "bytes=0-0", True),
        ("GET", None, False),
        ("GET", "", False),
        ("GET", "bytes=0-", False),
        ("GET", "bytes=0-2", False),
        ("GET", "bytes=2-3", False),
        ("GET", "bytes=1-1", False),
        ("GET", "bytes=-1", False),
        ("GET", "bytes=0-1,2-9999", False),
    ],
)
def test_a_probe_is_a_look_at_the_beginning(method: str, wanted: str | None, probe: bool) -> None:
    """No series of probes gives more of a song than its first two bytes."""
    assert is_probe(method, wanted) is probe


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_no_text_shows_a_ticket() -> None:
    """Neither the new one nor the verified one, in whatever is made of them; its short name is the id's beginning."""
    place = office()
    minted = place.mint(TENANT, Wanted(origin=PAGE))
    token, one = minted.token.reveal(), place.verify(minted.token.reveal(), PAGE)
    shown = f"{minted!r} {minted} {one!r} {one} {[one]}"
    assert token not in shown
    assert one.id.hex() not in shown
    assert one.name == one.id.hex()[:8]
    assert f"<Ticket {one.name} of {TENANT}>" in shown


def test_no_refusal_shows_a_ticket() -> None:
    """Whatever it is refused for."""
    token = office().mint(TENANT, Wanted(origin=PAGE)).token.reveal()
    for place, origin in ((office(), None), (office(Clock(NOW + 100)), PAGE), (office(None, b"f" * 32), PAGE)):
        with pytest.raises(AccessError) as refused:
            place.verify(token, origin)
        assert token[:20] not in f"{refused.value!r} {refused.value.message} {refused.value.body()}"


def test_a_log_hides_a_ticket_in_a_url() -> None:
    """And beside a subprotocol."""
    token = office().mint(TENANT, Wanted()).token.reveal()
    assert token not in redact(f"GET /v1/streams/st_1/audio.mp3?ticket={token} wavegate.ticket.{token}")


def test_ids_come_from_where_they_are_said_to() -> None:
    """Sixteen bytes of whatever source of chance was passed in."""
    asked = []

    def chance(count: int) -> bytes:
        asked.append(count)
        return secrets.token_bytes(count)

    TicketOffice(SigningKeys([SECRET]), now=Clock(NOW), token_bytes=chance).mint(TENANT, Wanted())
    assert asked == [16]
