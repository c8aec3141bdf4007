"""Who is asking: keys to principals, and which web pages may ask.

Invariant: a key is compared only as its SHA-256, in constant time; it is never kept, logged or echoed. A page (that is,
a request with an Origin) is held to its tenant's list of origins and may not hold a long-lived key, except in the demo.
It must not know what a principal may do next.
"""

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config.schema import Limits, Tenant
from gateway.config.secret import key_hash, key_id
from gateway.errors import AccessError
from gateway.model import Principal, TenantId

SUBPROTOCOL = "wavegate.v1"
KEY_PREFIX = "wavegate.key."
TICKET_PREFIX = "wavegate.ticket."
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought along: a key or a ticket, at most one of them; neither if it brought nothing."""

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
        return Credentials(key=key.strip())
    for name in subprotocols:
        if name.startswith(KEY_PREFIX):
            return Credentials(key=_decoded(name.removeprefix(KEY_PREFIX)))
        if name.startswith(TICKET_PREFIX):
            return Credentials(ticket=_decoded(name.removeprefix(TICKET_PREFIX)))
    if "ticket" in query:
        return Credentials(ticket=query["ticket"])
    return Credentials()


def _on_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in LOOPBACK
    except ValueError:
        return False


class Tenants:
    """The tenants of the configuration, found by key or by id. In the demo, pages of this machine may hold the key."""

    def __init__(self, tenants: Sequence[Tenant], *, demo: bool = False) -> None:
        self.demo = demo
        self._by_id = {TenantId(tenant.id): tenant for tenant in tenants}
        self._by_hash = {digest: tenant for tenant in tenants for digest in tenant.keys}

    def principal(self, given: Credentials, *, origin: str | None) -> Principal:
        """Who these credentials belong to. Raises AccessError."""
        if given.ticket is not None:
            raise AccessError("bad_credentials", "This ticket is not valid.")
        if given.key is None:
            raise AccessError("missing_credentials", "Send your key: Authorization: Bearer KEY.")
        digest = key_hash(given.key)
        found = [(known, tenant) for known, tenant in self._by_hash.items() if hmac.compare_digest(known, digest)]
        if not found:
            raise AccessError("bad_credentials", "This key is not known here.")
        known, tenant = found[0]
        self._check_origin(tenant, origin)
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

    def _check_origin(self, tenant: Tenant, origin: str | None) -> None:
        if origin is None:
            return
        if self.demo and _on_loopback(origin):
            return
        if origin not in tenant.allowed_origins:
            raise AccessError("origin_forbidden", "Pages of this origin may not use this tenant.")
        raise AccessError("key_in_browser", "A page must not hold a long-lived key: give it a ticket.")
