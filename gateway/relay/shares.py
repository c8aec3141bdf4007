"""Each tenant's share of those who encode: the last places are kept for those who have few.

Invariant: a tenant that holds half of the places begins nothing more while only the last fifth of them is free, however
many songs it has; what is being made goes on. Held are the encodes that are there, never a number kept beside them.
It must not know codecs, nor who listens.
"""

from gateway.errors import ServiceError, WavegateError
from gateway.model import TenantId
from gateway.relay.ports import Encoding, Encodings, EncodingSink
from transcode.packet import Encoded, Resume
from transcode.spec import EncoderSpec

RETRY_SECONDS = 2.0
MUCH = 2
KEPT = 5


class Shares:
    """Of all tenants in `encodings`."""

    def __init__(self, encodings: Encodings) -> None:
        self._encodings = encodings
        self._held: dict[TenantId, set[_Held]] = {}

    def of(self, tenant: TenantId) -> "Share":
        """Those who encode, as far as this tenant may have them."""
        return Share(self, tenant)

    @property
    def room(self) -> int | None:
        """How many encodes there may be at once; None if there is no such number."""
        return self._encodings.room

    def admit(self, tenant: TenantId) -> None:
        """Raises ServiceError `transcoding_full` where this tenant could begin nothing now."""
        self._keep_within_share(tenant)
        self._encodings.admit()

    def _keep_within_share(self, tenant: TenantId) -> None:
        room, mine = self.room, self._held.get(tenant, set())
        free = 0 if room is None else room - sum(map(len, self._held.values()))
        if room is not None and MUCH * len(mine) >= room and KEPT * free <= room and room >= KEPT:
            sentence = "This tenant has formats in the making in half of all places, and the last ones are for others."
            raise ServiceError("transcoding_full", sentence, retry_after=RETRY_SECONDS)

    def open(self, tenant: TenantId, spec: EncoderSpec, sink: EncodingSink, resume: Resume | None) -> Encoding:
        """An encode of this tenant's. Raises ServiceError `transcoding_full`."""
        self._keep_within_share(tenant)
        held = _Held(self, tenant, sink)
        held.inner = self._encodings.open(spec, held, resume)
        self._held.setdefault(tenant, set()).add(held)
        return held

    def leave(self, tenant: TenantId, held: "_Held") -> None:
        """It has ended; a second call does nothing."""
        mine = self._held.get(tenant)
        if mine is not None:
            mine.discard(held)
            if not mine:
                del self._held[tenant]


class Share:
    """Implements `Encodings` for one tenant."""

    def __init__(self, shares: Shares, tenant: TenantId) -> None:
        self._shares = shares
        self._tenant = tenant

    @property
    def room(self) -> int | None:
        """Of all tenants."""
        return self._shares.room

    def admit(self) -> None:
        """Raises ServiceError `transcoding_full` where it could begin nothing now."""
        self._shares.admit(self._tenant)

    def open(self, spec: EncoderSpec, sink: EncodingSink, resume: Resume | None = None) -> Encoding:
        """An encode. Raises ServiceError `transcoding_full`."""
        return self._shares.open(self._tenant, spec, sink, resume)


class _Held:
    """Stands between an encode and who asked for it, and hears how it ends: it implements `Encoding` and its sink."""

    __slots__ = ("_shares", "_sink", "_tenant", "inner")

    inner: Encoding

    def __init__(self, shares: Shares, tenant: TenantId, sink: EncodingSink) -> None:
        self._shares = shares
        self._tenant = tenant
        self._sink = sink

    def step(self, data: bytes, *, discontinuity: bool = False, last: bool = False) -> None:
        self.inner.step(data, discontinuity=discontinuity, last=last)

    def close(self) -> None:
        self._shares.leave(self._tenant, self)
        self.inner.close()

    def encoded(self, result: Encoded) -> None:
        self._sink.encoded(result)

    def failed(self, error: WavegateError) -> None:
        self._shares.leave(self._tenant, self)
        self._sink.failed(error)

    def lost(self) -> None:
        self._shares.leave(self._tenant, self)
        self._sink.lost()
