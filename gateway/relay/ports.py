"""What the relay needs of the outside, as the relay sees it: the consumer owns these interfaces.

Invariant: each has only the methods the relay calls. Implementations live on the same floor and never import this
house's other rooms; `app.py` introduces them to each other.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.accounting import Generation, Grant, Remaining, Reservation, Settlement, Traffic
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
    """Who may start a generation, and what it cost. Each call is one atomic step, and ends in bounded time."""

    async def reserve(self, reservation: Reservation) -> Grant:
        """Takes a slot and seconds, as a lease that ends by itself. Raises LimitError, RequestError, ServiceError."""
        ...

    async def withdraw(self, stream_id: StreamId) -> None:
        """It was never begun: all is given back."""
        ...

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        """The provider has begun, and this is its name for the generation."""
        ...

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        """Keeps the lease, and notes what a crash would charge; False when it is lost."""
        ...

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        """Reserves more, and gives how much. Raises LimitError when the budget has ended."""
        ...

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        """Books the end and gives the slot back; a second call changes nothing."""
        ...

    async def remaining(self, tenant: TenantId) -> Remaining:
        """What the tenant has left right now."""
        ...

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        """Adds what listeners took, of ended generations too."""
        ...

    async def sweep(self) -> int:
        """Settles leases that have ended, and gives how many. To be called often."""
        ...


class Traces(Protocol):
    """Where it is told what belongs together and how long it took. Each returns at once; times are Unix seconds."""

    def begin(self, name: str, at: float, parent: str | None) -> "Span":
        """Something begins, as part of the trace of a W3C `traceparent`, or as one of its own."""
        ...


class Span(Protocol):
    """Something with a beginning and an end."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        ...

    def event(self, name: str, at: float, facts: Mapping[str, str | int | float]) -> None:
        """This happened in it."""
        ...

    def child(
        self,
        name: str,
        begin: float,
        end: float,
        facts: Mapping[str, str | int | float] = ...,
        event: tuple[str, float] | None = None,
        code: str | None = None,
    ) -> None:
        """A part of it that is over, with an event in it, and the code of its error if it failed."""
        ...

    def end(self, at: float, facts: Mapping[str, str | int | float], code: str | None) -> None:
        """It is over; once."""
        ...


class Encodings(Protocol):
    """Where formats are made."""

    @property
    def room(self) -> int | None:
        """How many encodes there may be at once; None if there is no such number."""
        ...

    def admit(self) -> None:
        """Raises ServiceError `transcoding_full` where no encode could be opened now; nothing is kept for who asks."""
        ...

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


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes) -> None:
        """Returns at once."""
        ...


class Line(Protocol):
    """A connection. One chunk that is all a listener lacks goes straight to its sink."""

    @property
    def writable(self) -> bool:
        """False from the moment the socket takes no more until it has taken what waits; then listeners are pumped."""
        ...

    @property
    def sink(self) -> Sink:
        """Of the moment: whoever is cut off has another."""
        ...


class ListenerTransport(Protocol):
    """The way to one listener. Every call returns at once; nothing is queued beyond the socket's own buffer."""

    @property
    def name(self) -> str:
        """The door, as a metric label: websocket, http."""
        ...

    @property
    def line(self) -> Line:
        """Where its bytes go; the same as long as it lives."""
        ...

    @property
    def form(self) -> Callable[[Chunk], bytes] | None:
        """What a chunk looks like on that line; the same as long as it lives.

        None where no two listeners' bytes are alike: then every chunk comes by `send`.
        """
        ...

    def started(self, at: Position, form: StreamFormat, number: int, init: Chunk | None) -> None:
        """Audio of rendition `number` follows from `at`; `init` goes out before it."""
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


class Cluster(Protocol):
    """The other nodes of this gateway. What nodes say to each other is octets here: the relay alone reads them.

    What asks raises ServiceError `cluster_unavailable` where nobody answers in bounded time.
    """

    @property
    def node(self) -> str:
        """The name of this one: new at every start."""
        ...

    @property
    def peers(self) -> Mapping[str, bytes]:
        """The others that are alive, by name, and what each said of itself with its last sign of life."""
        ...

    async def own(self, stream_ids: Sequence[StreamId]) -> None:
        """From now on these are found here."""
        ...

    async def disown(self, stream_ids: Sequence[StreamId]) -> None:
        """They are found nowhere any more, unless somebody else has come to own them."""
        ...

    async def owner(self, stream_id: StreamId) -> str | None:
        """The node that owns it, if that is alive; this one too."""
        ...

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Takes a name for so long, unless it is taken; gives the value of whoever has it now."""
        ...

    async def release(self, name: str, value: str) -> None:
        """Gives a name back, if it is still this value's."""
        ...

    async def ask(self, node: str, kind: str, body: bytes, seconds: float | None = None) -> bytes:
        """What that node answers. Raises what it raised, with code and sentence."""
        ...

    def tell(self, node: str, kind: str, body: bytes) -> None:
        """The same without an answer: it may be lost."""
        ...

    def publish(self, name: str, drained: Callable[[], None], lost: Callable[[], None]) -> "Log":
        """A log that others can follow, empty; this node has never used its name before.

        `drained` is called when it takes more again; `lost` when what it held is there no more, or not for sure.
        """
        ...

    def follow(self, name: str, node: str, reader: "LogReader") -> "Following":
        """Has that node's log read, from its beginning on."""
        ...


class Log(Protocol):
    """Entries in order, to be followed by other nodes. Every call returns at once."""

    @property
    def writable(self) -> bool:
        """False while more waits to be taken than may wait."""
        ...

    def append(self, entry: bytes) -> None: ...

    def close(self) -> None:
        """It is needed no more: what it holds goes. A second call does nothing."""
        ...


class LogReader(Protocol):
    """What reads a log that another node writes. Neither may take long."""

    def entry(self, entry: bytes) -> None:
        """The next one."""
        ...

    def lost(self, owner_lost: bool) -> None:
        """Nothing more comes of this log: it is gone, or its owner is. Called once, and not after `close`."""
        ...


class Following(Protocol):
    """A log that is being read."""

    def close(self) -> None:
        """It is read no more, from this moment on."""
        ...
