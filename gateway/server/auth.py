"""Who is asking: keys to principals, and which web pages may ask.

Invariant: a key is compared only as its SHA-256, in constant time; it is never kept, logged or echoed. A page (that is,
a request with an Origin) is held to its tenant's list of origins and may not hold a long-lived key, except in the demo.
It must not know what a principal may do next.
"""

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from urllib.parse import urlsplit

from gateway.config.schema import Limits, Tenant
from gateway.config.secret import key_hash, key_id
from gateway.errors import AccessError
from gateway.model import Principal, TenantId
from gateway.quota.uses import MemoryUses, Uses
from gateway.server import tickets
from gateway.server.signing import SECRET_BYTES, SigningKeys
from gateway.server.tickets import TicketOffice
from gateway.server.visitor import Visitor

SUBPROTOCOL = "wavegate.v1"
KEY_PREFIX = "wavegate.key."
TICKET_PREFIX = "wavegate.ticket."
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a request brought along: a key or a ticket, at most one of them; neither if it brought nothing.

    It does not show itself.
    """

    key: str | None = None
    ticket: str | None = None

    @property
    def given(self) -> bool:
        return self.key is not None or self.ticket is not None


def _decoded(text: str) -> str:
    """base64url without padding, as subprotocols carry it. Raises AccessError for what is not."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        raise AccessError("bad_credentials", "The credential in the subprotocol is not base64url.") from None


def credentials(headers: Mapping[str, str], query: Mapping[str, str], subprotocols: Sequence[str] = ()) -> Credentials:
    """The first that is present: Authorization, a subprotocol, `?ticket=`. Raises AccessError for a malformed one."""
    header = headers.get("Authorization")
    if header is not None:
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise AccessError("bad_credentials", "The Authorization header must read: Bearer KEY.")
        # Libraries that know no other place for a key can be given a ticket in its stead.
        if key.strip().startswith(tickets.PREFIX):
            return Credentials(ticket=key.strip())
        return Credentials(key=key.strip())
    for name in subprotocols:
        if name.startswith(KEY_PREFIX):
            return Credentials(key=_decoded(name.removeprefix(KEY_PREFIX)))
        if name.startswith(TICKET_PREFIX):
            ticket = name.removeprefix(TICKET_PREFIX)
            # A ticket is base64url by itself: it may come bare, or encoded once more like a key.
            return Credentials(ticket=ticket if ticket.startswith(tickets.PREFIX) else _decoded(ticket))
    if "ticket" in query:
        return Credentials(ticket=query["ticket"])
    return Credentials()


def page_of(headers: Mapping[str, str]) -> str | None:
    """The origin of the page a request comes from, if it tells: an audio element sends no Origin but a Referer."""
    try:
        parts = urlsplit(headers.get("Referer", ""))
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else None


def own_page(origin: str, host: str | None) -> bool:
    """Whether this origin is that of the gateway's own pages, as the client of this request knows it.

    Its scheme is not compared: behind a proxy that speaks TLS nobody here knows it.
    """
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and parts.netloc == (host or "").lower()


def _on_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in LOOPBACK
    except ValueError:
        return False


class Tenants:
    """The tenants of the configuration, found by key or by id. In the demo, pages of this machine may hold the key."""

    def __init__(
        self,
        tenants: Sequence[Tenant],
        *,
        demo: bool = False,
        office: TicketOffice | None = None,
        uses: Uses | None = None,
    ) -> None:
        self.demo = demo
        self.office = office or TicketOffice(SigningKeys([token_bytes(SECRET_BYTES)]))
        self._uses = uses or MemoryUses()
        self.replace(tenants)

    def replace(self, tenants: Sequence[Tenant]) -> None:
        """From now on these are the tenants, their keys and their limits."""
        self._by_id = {TenantId(tenant.id): tenant for tenant in tenants}
        self._by_hash = {digest: tenant for tenant in tenants for digest in tenant.keys}

    def holds(self, principal: Principal) -> bool:
        """Whether who came in as this would still be let in: its tenant is there, and its key, or its ticket's."""
        tenant = self._by_id.get(principal.tenant)
        if tenant is None:
            return False
        name = principal.minted_by if principal.guest else principal.key_id
        return name is None or any(key_id(known) == name for known in tenant.keys)

    def visitor(
        self, given: Credentials, *, origin: str | None, page: str | None = None, host: str | None = None
    ) -> Visitor:
        """Who comes with these credentials; no use of a ticket is spent yet. Raises AccessError.

        `page` is the origin as far as a request without Origin tells it, for tickets of one page; `host` is what the
        client calls the gateway, whose own pages need not stand on any list.
        """
        if given.ticket is None:
            return Visitor(self.principal(given, origin=origin, host=host), self._uses, holds=self.holds)
        ticket = self.office.verify(given.ticket, origin or page)
        guest = Principal(ticket.tenant, f"ticket {ticket.name}", guest=True, minted_by=ticket.key_id)
        if not self.holds(guest):
            raise AccessError("bad_credentials", "This ticket is not valid.")
        self.check_page(ticket.tenant, origin, host)
        return Visitor(guest, self._uses, ticket, holds=self.holds)

    def principal(self, given: Credentials, *, origin: str | None, host: str | None = None) -> Principal:
        """Whose key this is. Raises AccessError."""
        if given.ticket is not None:
            raise AccessError("bad_credentials", "This ticket is not valid.")
        if given.key is None:
            raise AccessError("missing_credentials", "Send your key: Authorization: Bearer KEY.")
        digest = key_hash(given.key)
        found = [(known, tenant) for known, tenant in self._by_hash.items() if hmac.compare_digest(known, digest)]
        if not found:
            raise AccessError("bad_credentials", "This key is not known here.")
        known, tenant = found[0]
        self.check_page(tenant.id, origin, host)
        self.check_key_in_page(origin)
        return Principal(TenantId(tenant.id), key_id(known))

    def limits(self, tenant: TenantId) -> Limits:
        """What this tenant may use; a tenant that is gone may use what a new one may."""
        found = self._by_id.get(tenant)
        return found.limits if found else Limits()

    def abandon(self, tenant: TenantId) -> str:
        """What becomes of its streams when everybody has left; those of a tenant that is gone are finished."""
        found = self._by_id.get(tenant)
        return found.abandon if found else "finish"

    def weight(self, tenant: TenantId) -> float:
        """Its share of the provider while tenants wait; a tenant that is gone has a new one's."""
        found = self._by_id.get(tenant)
        return found.weight if found else 1.0

    def origins(self, tenant: str | None) -> list[str]:
        """The origins of this tenant's pages, none of one that is not there; of all tenants' for None."""
        asked = self._by_id.values() if tenant is None else [self._by_id.get(TenantId(tenant))]
        return sorted({origin for found in asked if found is not None for origin in found.allowed_origins})

    def welcomes(self, origin: str) -> bool:
        """Whether some tenant lets pages of this origin in, or the demo does."""
        return self._at_home(origin) or any(origin in tenant.allowed_origins for tenant in self._by_id.values())

    def allows(self, tenant: str, origin: str) -> bool:
        """Whether this tenant lets pages of this origin in, or the demo does."""
        found = self._by_id.get(TenantId(tenant))
        return self._at_home(origin) or (found is not None and origin in found.allowed_origins)

    def check_page(self, tenant: str, origin: str | None, host: str | None = None) -> None:
        """Whether pages of this origin may use the tenant; those of the gateway itself, at `host`, may.

        A demo answers by the names of its machine alone: any other was made to lead to it by the page that uses it, for
        whose browser that page is then the demo's own (DNS rebinding). Raises AccessError.
        """
        if self.demo and host is not None and not _on_loopback(f"http://{host}"):
            raise AccessError("origin_forbidden", "A demo is for this machine: call it localhost or 127.0.0.1.")
        if origin is not None and not own_page(origin, host) and not self.allows(tenant, origin):
            raise AccessError("origin_forbidden", "Pages of this origin may not use this tenant.")

    def _at_home(self, origin: str) -> bool:
        return self.demo and _on_loopback(origin)

    def check_key_in_page(self, origin: str | None) -> None:
        """At a key that comes from a page of this origin, if it is one. Raises AccessError."""
        if origin is None or self._at_home(origin):
            return
        raise AccessError("key_in_browser", "A page must not hold a long-lived key: give it a ticket.")
