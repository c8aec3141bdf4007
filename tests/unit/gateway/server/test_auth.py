"""Who is asking: every way to bring a credential, and every rule about the pages that bring one.

Invariant under test: a key is known by its hash alone, and whatever is malformed is refused, never an accident.
It must not know what a principal may do next.
"""

import hmac
from base64 import urlsafe_b64encode

import pytest

from gateway.config.schema import Limits, Tenant
from gateway.config.secret import key_hash, key_id
from gateway.errors import AccessError
from gateway.model import Principal, TenantId
from gateway.server import auth
from gateway.server.auth import Credentials, Tenants, credentials, own_page
from gateway.server.tickets import Wanted

PAGE = "https://play.acme.example"
ACME = Tenant(id="acme", keys=[key_hash("first"), key_hash("second")], allowed_origins=[PAGE])
OTHER = Tenant(id="other", keys=[key_hash("third")], limits=Limits(listeners=3))


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


# -- what came along -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "query", "subprotocols", "expected"),
    [
        ({}, {}, (), Credentials()),
        ({"Authorization": "Bearer k"}, {}, (), Credentials(key="k")),
        ({"Authorization": "bearer  k "}, {}, (), Credentials(key="k")),
        ({"Authorization": "Bearer wt_k "}, {"ticket": "t"}, (), Credentials(ticket="wt_k")),
        ({}, {}, ("wavegate.v1",), Credentials()),
        ({}, {}, ("wavegate.v1", f"wavegate.key.{encoded('k')}"), Credentials(key="k")),
        ({}, {}, (f"wavegate.ticket.{encoded('tk')}", "wavegate.v1"), Credentials(ticket="tk")),
        ({}, {}, (f"wavegate.key.{encoded('schlüssel')}",), Credentials(key="schlüssel")),
        ({}, {"ticket": "t"}, (), Credentials(ticket="t")),
        ({}, {"ticket": ""}, (), Credentials(ticket="")),
        ({"Authorization": "Bearer k"}, {"ticket": "t"}, (f"wavegate.key.{encoded('x')}",), Credentials(key="k")),
        ({}, {"ticket": "t"}, (f"wavegate.key.{encoded('x')}",), Credentials(key="x")),
    ],
)
def test_the_first_credential_that_is_present_counts(
    headers: dict[str, str], query: dict[str, str], subprotocols: tuple[str, ...], expected: Credentials
) -> None:
    """Authorization before subprotocol before ?ticket=; nothing is a credential of its own."""
    given = credentials(headers, query, subprotocols)
    assert given == expected
    assert given.given is (expected != Credentials())


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic k", "k", "Token k"])
def test_a_malformed_header_is_refused_even_beside_a_good_ticket(header: str) -> None:
    """Whoever sends an Authorization header means it."""
    with pytest.raises(AccessError) as refused:
        credentials({"Authorization": header}, {"ticket": "t"})
    assert refused.value.code == "bad_credentials"


@pytest.mark.parametrize("text", ["wavegate.key.x", "wavegate.ticket._w", "wavegate.key.é"])
def test_a_subprotocol_that_is_not_base64url_is_refused(text: str) -> None:
    """Of the wrong length, of bytes that are no text, of letters that are not in the alphabet."""
    with pytest.raises(AccessError) as refused:
        credentials({}, {}, (text,))
    assert refused.value.code == "bad_credentials"


# -- who it is -------------------------------------------------------------------------------------------------------


def test_every_key_of_a_tenant_opens_and_is_named_apart() -> None:
    """A principal is the tenant and the first digits of the key's hash, which are safe to log."""
    tenants = Tenants([ACME, OTHER])
    for key, tenant in (("first", "acme"), ("second", "acme"), ("third", "other")):
        principal = tenants.principal(Credentials(key=key), origin=None)
        assert principal.tenant == tenant
        assert principal.key_id == key_hash(key).removeprefix("sha256:")[:8]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (Credentials(), "missing_credentials"),
        (Credentials(key=""), "bad_credentials"),
        (Credentials(key="FIRST"), "bad_credentials"),
        (Credentials(key=key_hash("first")), "bad_credentials"),
        (Credentials(key="\udcff"), "bad_credentials"),
        (Credentials(ticket="first"), "bad_credentials"),
        (Credentials(key="first", ticket="t"), "bad_credentials"),
    ],
)
def test_what_is_not_a_key_of_ours_is_refused(given: Credentials, code: str) -> None:
    """Nothing, an unknown key, a hash in a key's place, octets that are no text, and a ticket each have their code."""
    with pytest.raises(AccessError) as refused:
        Tenants([ACME]).principal(given, origin=None)
    assert refused.value.code == code
    assert not given.key or given.key not in refused.value.message


@pytest.mark.parametrize("key", ["first", "third", "unknown"])
def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """The work does not tell which key was near, nor where it stands: each hash is compared, whole, every time."""
    compared = []

    class Watched:
        @staticmethod
        def compare_digest(known: str, given: str) -> bool:
            compared.append((known, given))
            return hmac.compare_digest(known, given)

    monkeypatch.setattr(auth, "hmac", Watched)
    tenants = Tenants([ACME, OTHER])
    try:
        tenants.principal(Credentials(key=key), origin=None)
    except AccessError:
        assert key == "unknown"
    assert compared == [(known, key_hash(key)) for known in (*ACME.keys, *OTHER.keys)]


def test_limits_are_the_tenants_own() -> None:
    """A tenant that is gone from the configuration may use what a new one may."""
    tenants = Tenants([ACME, OTHER])
    assert tenants.limits(TenantId("other")).listeners == 3
    assert tenants.limits(TenantId("gone")) == Limits()


# -- which pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "demo", "code"),
    [
        (None, False, None),
        (PAGE, False, "key_in_browser"),
        ("https://evil.example", False, "origin_forbidden"),
        ("https://play.acme.example.evil.example", False, "origin_forbidden"),
        ("http://play.acme.example", False, "origin_forbidden"),
        ("https://play.acme.example:8443", False, "origin_forbidden"),
        ("null", False, "origin_forbidden"),
        ("", False, "origin_forbidden"),
        ("http://127.0.0.1:8080", False, "origin_forbidden"),
        (None, True, None),
        ("http://127.0.0.1:8080", True, None),
        ("http://localhost:5173", True, None),
        ("http://[::1]:8080", True, None),
        ("http://127.0.0.1.evil.example", True, "origin_forbidden"),
        ("http://localhost.evil.example", True, "origin_forbidden"),
        ("http://127.0.0.1@evil.example", True, "origin_forbidden"),
        ("https://evil.example", True, "origin_forbidden"),
        ("null", True, "origin_forbidden"),
        ("http://[::1", True, "origin_forbidden"),
        (PAGE, True, "key_in_browser"),
    ],
)
def test_pages_are_held_to_their_list_and_hold_no_key(origin: str | None, demo: bool, code: str | None) -> None:
    """A program needs no origin; a page a listed one, and still no long-lived key; the demo lets this machine in."""
    tenants = Tenants([ACME], demo=demo)
    if code is None:
        assert tenants.principal(Credentials(key="first"), origin=origin).tenant == "acme"
        return
    with pytest.raises(AccessError) as refused:
        tenants.principal(Credentials(key="first"), origin=origin)
    assert refused.value.code == code


def test_a_stranger_learns_nothing_about_origins() -> None:
    """The key is looked at first: without a good one every page gets the same answer."""
    for origin in (PAGE, "https://evil.example"):
        with pytest.raises(AccessError) as refused:
            Tenants([ACME]).principal(Credentials(key="unknown"), origin=origin)
        assert refused.value.code == "bad_credentials"


def test_a_tenants_origins_are_its_own() -> None:
    """Sorted, each once; of all tenants together where none is named, and of nobody who is not there."""
    twin = Tenant(id="twin", allowed_origins=["https://b.example", "https://a.example", PAGE])
    tenants = Tenants([ACME, OTHER, twin])
    assert tenants.origins("acme") == [PAGE]
    assert tenants.origins("other") == tenants.origins("gone") == tenants.origins("") == []
    assert tenants.origins(None) == ["https://a.example", "https://b.example", PAGE]


def test_a_tenant_has_the_weight_it_was_given() -> None:
    """One that is gone has a new one's."""
    tenants = Tenants([Tenant(id="heavy", weight=3.0)])
    assert (tenants.weight(TenantId("heavy")), tenants.weight(TenantId("gone"))) == (3.0, 1.0)


def test_tenants_are_replaced_as_a_whole() -> None:
    """Keys, limits and tenants of before are gone; who came with what is still there would be let in again."""
    old, new = "sha256:" + 64 * "1", "sha256:" + 64 * "2"
    tenants = Tenants([Tenant(id="acme", keys=[old, new]), Tenant(id="other", keys=["sha256:" + 64 * "3"])])
    tenants.replace([Tenant(id="acme", keys=[new], limits=Limits(listeners=7))])
    acme, other = TenantId("acme"), TenantId("other")
    assert tenants.limits(acme).listeners == 7
    assert tenants.holds(Principal(acme, key_id(new)))
    assert not tenants.holds(Principal(acme, key_id(old)))
    assert tenants.holds(Principal(acme, "ticket 0123", guest=True))
    assert tenants.holds(Principal(acme, "ticket 0123", guest=True, minted_by=key_id(new)))
    assert not tenants.holds(Principal(acme, "ticket 0123", guest=True, minted_by=key_id(old)))
    assert not tenants.holds(Principal(other, "ticket 0123", guest=True))


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://gw.example", "gw.example", True),
        ("https://gw.example:8443", "gw.example:8443", True),
        ("https://gw.example", "GW.example", True),
        ("https://gw.example", "gw.example:443", False),
        ("https://gw.example.evil.example", "gw.example", False),
        ("https://user@gw.example", "gw.example", False),
        ("null", "null", False),
        ("http://", "", False),
        ("http://[", "[", False),
        ("http://gw.example", None, False),
        ("file://gw.example", "gw.example", False),
    ],
)
def test_the_gateways_own_pages(origin: str, host: str | None, own: bool) -> None:
    """The same host and port, as the client itself has written them; the scheme may be a proxy's."""
    assert own_page(origin, host) is own


def test_a_ticket_is_welcome_in_the_gateways_own_pages() -> None:
    """At the host as the client knows it, though it is on no list; a key is not, nor a page that is elsewhere."""
    tenants = Tenants([OTHER])
    ticket = tenants.office.mint(TenantId("other"), Wanted()).token.reveal()
    for host in ("music.example", "music.example:8443"):
        given = Credentials(ticket=ticket)
        assert tenants.visitor(given, origin=f"https://{host}", host=host).principal.tenant == "other"
        with pytest.raises(AccessError) as refused:
            tenants.visitor(Credentials(key="third"), origin=f"https://{host}", host=host)
        assert refused.value.code == "key_in_browser"
        with pytest.raises(AccessError) as refused:
            tenants.visitor(given, origin="https://evil.example", host=host)
        assert refused.value.code == "origin_forbidden"


def test_credentials_do_not_show_themselves() -> None:
    """Neither a key nor a ticket is in what a log or a traceback might say of them."""
    for given in (Credentials(key="wg_secret"), Credentials(ticket="wt_secret")):
        assert "secret" not in repr(given)
        assert "secret" not in f"{given}"
