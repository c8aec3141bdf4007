"""The segments that were asked for last, joined: near the live edge everybody wants the same one at the same moment.

Invariant: bounded in bytes, over all songs; what stands here is what its channel would give again.
It must not know who asks.
"""

import hashlib
from collections import OrderedDict

from gateway.relay.segments import Segment, Segments

MOST_BYTES = 8 * 1024 * 1024
_ETAG_OCTETS = 12


def etag_of(body: bytes) -> str:
    """A strong ETag, which depends on nothing but the bytes."""
    return f'"{hashlib.blake2b(body, digest_size=_ETAG_OCTETS).hexdigest()}"'


class Shelf:
    """`most` is in bytes; the last one asked for is kept in any case."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._size = 0
        self._all: OrderedDict[Segment, tuple[bytes, str]] = OrderedDict()

    @property
    def size(self) -> int:
        """How many bytes stand here."""
        return self._size

    def take(self, segments: Segments, segment: Segment) -> tuple[bytes, str]:
        """The bytes of a segment that is kept, and their ETag."""
        found = self._all.get(segment)
        if found is not None:
            self._all.move_to_end(segment)
            return found
        body = segments.read(segment)
        found = self._all[segment] = body, etag_of(body)
        self._size += len(body)
        while self._size > self._most and len(self._all) > 1:
            _, (oldest, _) = self._all.popitem(last=False)
            self._size -= len(oldest)
        return found
