"""What the relay needs of the outside, as the relay sees it: the consumer owns these interfaces.

Invariant: each has only the methods the relay calls. Implementations live on the same floor and never import this
house's other rooms; `app.py` introduces them to each other.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.errors import WavegateError
from gateway.model import Chunk, GenerationRequest, Position, SourceEvent, StreamId, TenantId
from gateway.relay.outcome import Outcome
from transcode.formats import StreamFormat
from transcode.packet import Encoded, Resume
from transcode.spec import EncoderSpec


class Source(Protocol):
    """Where songs are bought."""

    def open(
        self, request: GenerationRequest, tenant: TenantId
    ) -> AbstractAsyncContextManager[AsyncIterator[SourceEvent]]:
        """One paid generation: ends with Finished or raises UpstreamError. Leaving the context lets the upstream go."""
        ...


class Ledger(Protocol):
    """Who may start a generation, and what it cost."""

    async def reserve(self, tenant: TenantId, stream_id: StreamId) -> None:
        """Takes a slot for the tenant, as a lease that expires by itself. Raises LimitError when there is none."""
        ...

    async def renew(self, stream_id: StreamId) -> None:
        """Keeps the lease of a running generation."""
        ...

    async def settle(self, stream_id: StreamId, seconds: float) -> None:
        """The generation is over and cost this much audio. Gives the slot back; a second call does nothing."""
        ...


class Encodings(Protocol):
    """Where formats are made."""

    def open(self, spec: EncoderSpec, sink: "EncodingSink", resume: Resume | None = None) -> "Encoding":
        """An encode, from its first byte or taken up again. Raises ServiceError `transcoding_full` without room."""
        ...


class Encoding(Protocol):
    """One encode that is being made elsewhere."""

    def step(self, data: bytes, *, discontinuity: bool = False, last: bool = False) -> None:
        """Encodes the next bytes of the song; the sink is answered in a later turn of the loop, before the next step.

        `discontinuity` tells that sound is missing right before them, `last` that nothing follows.
        """
        ...

    def close(self) -> None:
        """It is needed no more. The sink hears nothing after this; a second call does nothing."""
        ...


class EncodingSink(Protocol):
    """What an encode tells. After `failed` and `lost` it is closed."""

    def encoded(self, result: Encoded) -> None:
        """The step is done."""
        ...

    def failed(self, error: WavegateError) -> None:
        """The codec has failed on this song."""
        ...

    def lost(self) -> None:
        """Whoever made it has died; nothing is wrong with the song."""
        ...


class ListenerTransport(Protocol):
    """The way to one listener. Every call returns at once; nothing is queued beyond the socket's own buffer."""

    @property
    def name(self) -> str:
        """The door, as a metric label: websocket, http."""
        ...

    @property
    def writable(self) -> bool:
        """False from the moment the socket takes no more until it has taken what waits; then the transport pumps."""
        ...

    def started(self, at: Position, form: StreamFormat, number: int, init: Chunk | None) -> None:
        """Audio of rendition `number` follows from `at`; `init` goes out before it."""
        ...

    def push(self, chunk: Chunk) -> bool:
        """Writes this chunk, if the transport is writable; gives whether it was."""
        ...

    def send(self, chunks: Sequence[Chunk]) -> None:
        """Writes these chunks, in one go."""
        ...

    def metadata(self, text: bytes) -> None:
        """News beside the sound, as a ready WebSocket text frame; a door that has no place for it does nothing."""
        ...

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        """The chunks `from_seq` up to but not including `to_seq` will not come; of none, sound is lost before it."""
        ...

    def refused(self, error: WavegateError) -> None:
        """This listener is cut off, the stream goes on. It is detached already."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """Nothing follows. The listener is detached already."""
        ...
