"""Tickets: signed, short-lived leave to listen or to create, for guests who must not hold a tenant's key.

A ticket is `wt_` and base64url of: version, key name, claims in MessagePack, HMAC-SHA-256. Invariant: whatever is not
exactly what this gateway gave out is `bad_credentials`, without a word about why; nothing in a ticket is believed
before its signature is; a ticket is in no repr, where the first digits of its id stand for it.
It must not know how tickets come in, nor how their uses are counted.
"""

import binascii
import hashlib
import hmac
import math
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Never

import msgspec

from gateway.config.secret import Secret
from gateway.errors import AccessError, RequestError
from gateway.model import TenantId
from gateway.server.signing import LEEWAY_SECONDS, SIGNATURE_BYTES, SigningKeys

PREFIX = "wt_"
MAX_LENGTH = 400
MAX_TTL_SECONDS = 86_400
MAX_USES = 1000
MAX_AUDIO_SECONDS = 1_000_000
MAX_STREAM_ID = 64
MAX_ORIGIN = 255

_VERSION = 1
_HEAD_BYTES = 5
_ID_BYTES = 16
_ORIGIN_BYTES = 16
# Scheme, host and perhaps a port, as browsers write them.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+")


class Permission(StrEnum):
    """What a ticket allows its bearer."""

    LISTEN = "listen"
    CREATE = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a ticket is to be, as a tenant asked for it. `uses` of 0 is until it expires."""

    stream_id: str | None = None
    allow: Sequence[str] = ("listen",)
    ttl_seconds: int = 60
    uses: int = 1
    origin: str | None = None
    max_audio_seconds: int | None = None


class Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is signed, in this order. Times are whole Unix seconds; `allow` is a letter for each permission.

    Of the origin there is a hash alone: it has a length that fits into every ticket. `hidden_key_id` names the key of
    the tenant that asked for it, and with which it goes, to nobody but a gateway.
    """

    id: bytes
    tenant: str
    stream_id: str | None
    allow: str
    issued_at: int
    expires_at: int
    uses: int
    origin: bytes | None
    max_audio_seconds: int | None
    hidden_key_id: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """A ticket whose signature has been checked. `expires_at` in Unix seconds; `uses` of 0 is no limit."""

    id: bytes
    tenant: TenantId
    stream_id: str | None
    allow: frozenset[Permission]
    issued_at: int
    expires_at: int
    uses: int
    origin: bytes | None
    max_audio_seconds: int | None
    key_id: str | None = None

    def __repr__(self) -> str:
        return f"<Ticket {self.name} of {self.tenant}>"

    @property
    def name(self) -> str:
        """The first 8 hex digits of its id: safe to log."""
        return self.id.hex()[:8]

    def check_alive(self, now: float) -> None:
        """Raises AccessError `credentials_expired`."""
        if now >= self.expires_at + LEEWAY_SECONDS:
            raise AccessError("credentials_expired", "This ticket has expired: get a new one.")

    def check_origin(self, origin: str | None) -> None:
        """Raises AccessError `origin_forbidden` when it is for pages of another origin, or the page is not known."""
        if self.origin is None:
            return
        if origin is None or not hmac.compare_digest(self.origin, _origin_digest(origin)):
            raise AccessError("origin_forbidden", "This ticket is for pages of another origin.")

    def check(self, permission: Permission, stream_id: str | None = None) -> None:
        """Raises RequestError `stream_not_found` for another stream than its own, AccessError `forbidden`."""
        if self.stream_id is not None and stream_id is not None and stream_id != self.stream_id:
            # The words for a stream that is not there: its bearer does not learn whether it is.
            sentence = "There is no such stream, or it is no longer kept."
            raise RequestError("stream_not_found", sentence, param="stream_id")
        if permission not in self.allow:
            raise AccessError("forbidden", f"This ticket does not allow to {permission.value}.")


@dataclass(frozen=True, slots=True)
class Minted:
    """A new ticket. `token` is what its bearer sends; it does not show itself."""

    token: Secret
    ticket: Ticket


class TicketOffice:
    """Gives tickets out and looks at those that come back."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        now: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._keys = keys
        self._now = now
        self._token_bytes = token_bytes

    def mint(self, tenant: TenantId, wanted: Wanted, key_id: str | None = None) -> Minted:
        """A new ticket of this tenant, good as long as its key of this name is. Raises RequestError naming the field
        that cannot be.
        """
        _check(wanted)
        now = self._now()
        key, ticket_id = self._keys.current(now), self._token_bytes(_ID_BYTES)
        claims = Claims(
            id=ticket_id,
            tenant=tenant,
            stream_id=wanted.stream_id,
            allow="".join(sorted({Permission(one).value[0] for one in wanted.allow})),
            issued_at=math.floor(now),
            expires_at=math.ceil(now) + wanted.ttl_seconds,
            uses=wanted.uses,
            origin=None if wanted.origin is None else _origin_digest(wanted.origin),
            max_audio_seconds=wanted.max_audio_seconds,
            hidden_key_id=None if key_id is None else self._masked(key, ticket_id, key_id.encode()),
        )
        message = bytes([_VERSION]) + key.to_bytes(4, "big") + _encode(claims)
        token = PREFIX + _text(message + self._keys.sign(key, message))
        return Minted(Secret(token), _ticket(claims, key_id))

    def verify(self, token: str, origin: str | None = None) -> Ticket:
        """The ticket, if it is good now and here. `origin` is that of the page which sent it, None if that is unknown.

        Raises AccessError `bad_credentials`, `credentials_expired`, `origin_forbidden`. No use is spent.
        """
        data = _octets(token)
        message, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if len(message) <= _HEAD_BYTES or message[0] != _VERSION:
            _bad()
        key, now = int.from_bytes(message[1:_HEAD_BYTES], "big"), self._now()
        place = self._keys.signer(key, message, signature)
        if place is None or not self._keys.honours(key, now):
            _bad()
        claims = _decode(message[_HEAD_BYTES:])
        hidden = claims.hidden_key_id
        ticket = _ticket(claims, None if hidden is None else self._masked(key, claims.id, hidden, place).decode())
        if ticket.issued_at > now + LEEWAY_SECONDS:
            _bad()
        ticket.check_alive(now)
        ticket.check_origin(origin)
        return ticket

    def _masked(self, key: int, ticket_id: bytes, octets: bytes, place: int = 0) -> bytes:
        """Hides a key's name, and shows it again: who has a ticket could try guesses of the key at what is its hash."""
        pad = self._keys.pad(key, ticket_id, len(octets), place)
        return bytes(one ^ other for one, other in zip(octets, pad, strict=True))


def is_probe(method: str, wanted_range: str | None) -> bool:
    """Whether a request for audio only looks what is there: it spends no use and is no listener.

    Of ranges only the first one or two bytes are a probe: with others a song could be had in pieces for nothing.
    """
    return method == "HEAD" or wanted_range in ("bytes=0-0", "bytes=0-1")


def _check(wanted: Wanted) -> None:
    known = ", ".join(Permission)
    if not wanted.allow or any(one not in list(Permission) for one in wanted.allow):
        _refuse("allow", f"allow is a list of one or more of: {known}.")
    creates = Permission.CREATE in wanted.allow
    if wanted.stream_id is not None:
        if not 1 <= len(wanted.stream_id.encode("utf-8", "replace")) <= MAX_STREAM_ID:
            _refuse("stream_id", f"stream_id has 1 to {MAX_STREAM_ID} characters.")
        if creates:
            _refuse("allow", "A ticket for one stream cannot create others.")
    if not 1 <= wanted.ttl_seconds <= MAX_TTL_SECONDS:
        _refuse("ttl_seconds", f"ttl_seconds is 1 to {MAX_TTL_SECONDS}.")
    if not 0 <= wanted.uses <= MAX_USES:
        _refuse("uses", f"uses is 0 to {MAX_USES}; 0 is until the ticket expires.")
    if wanted.origin is not None and (len(wanted.origin) > MAX_ORIGIN or not _ORIGIN.fullmatch(wanted.origin)):
        _refuse("origin", "origin is scheme and host of a page, such as https://play.example, without a / at its end.")
    if wanted.max_audio_seconds is not None:
        if not creates:
            _refuse("max_audio_seconds", "max_audio_seconds is for tickets that allow to create.")
        if not 1 <= wanted.max_audio_seconds <= MAX_AUDIO_SECONDS:
            _refuse("max_audio_seconds", f"max_audio_seconds is 1 to {MAX_AUDIO_SECONDS}.")


def _refuse(param: str, sentence: str) -> Never:
    raise RequestError("invalid_request", sentence, param=param)


def _bad() -> Never:
    raise AccessError("bad_credentials", "This ticket is not valid.")


def _ticket(claims: Claims, key_id: str | None) -> Ticket:
    return Ticket(
        id=claims.id,
        tenant=TenantId(claims.tenant),
        stream_id=claims.stream_id,
        allow=frozenset(one for one in Permission if one.value[0] in claims.allow),
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
        uses=claims.uses,
        origin=claims.origin,
        max_audio_seconds=claims.max_audio_seconds,
        key_id=key_id,
    )


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Claims)


def _decode(data: bytes) -> Claims:
    """Signed claims are ours; those that do not fit were signed by another version."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        _bad()


def _origin_digest(origin: str) -> bytes:
    return hashlib.sha256(origin.encode("utf-8", "surrogatepass")).digest()[:_ORIGIN_BYTES]


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _octets(token: str) -> bytes:
    """The bytes of a ticket. Of the many ways in which base64 writes the same bytes one is ours."""
    body = token.removeprefix(PREFIX)
    if len(token) > MAX_LENGTH or body == token:
        _bad()
    try:
        data = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        _bad()
    if _text(data) != body:
        _bad()
    return data
