"""A stream: one paid generation, from the moment its slot is reserved to the moment its bill is settled.

It owns the task that reads the source, so the upstream outlives every client: a listener leaving cancels nothing but
itself. Invariant: whatever happens (the end, a failure, a cancel, a bug of ours) the source is let go, the bill is
settled exactly once, and every channel is closed with the same outcome. It must not know sockets or who listens.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from gateway.accounting import Traffic
from gateway.errors import RequestError, ServiceError, UpstreamError, WavegateError
from gateway.log import event as log_event
from gateway.model import (
    Accepted,
    AudioDelta,
    Finished,
    Position,
    Queued,
    RenditionId,
    SourceEvent,
    Status,
    StreamId,
    TriedAgain,
)
from gateway.protocol.events import StreamQueued, encode
from gateway.protocol.frames import text_message
from gateway.relay.account import Account
from gateway.relay.attention import Attention
from gateway.relay.channel import Channel
from gateway.relay.charge import Charge
from gateway.relay.instruments import Instruments
from gateway.relay.journal import Ending, Journal
from gateway.relay.news import news
from gateway.relay.order import Order
from gateway.relay.outcome import Bill
from gateway.relay.ports import Source
from gateway.relay.rendition import NativeRendition
from gateway.relay.renditions import Renditions, Workshop
from gateway.relay.silence import Silence
from gateway.relay.since import Since
from gateway.relay.titles import Titles, title_of
from gateway.relay.wishes import Wished
from transcode.formats import FORMATS

logger = logging.getLogger("wavegate.stream")

# While 12,000 come and go, news of their number each second would cost a fifth of what their audio does.
CROWD_TOLD_A_SECOND = 1000
# Providers have been seen to end in good order, and to bill, with a container's header and nothing to hear behind it.
SHORTEST_SONG_SECONDS = 0.1


def queued(stream_id: StreamId, place: Queued) -> StreamQueued:
    """Where a generation stands in the queue, as its listeners are told."""
    eta = None if place.eta_seconds is None else round(place.eta_seconds * 1000)
    return StreamQueued(stream_id, place.position, eta)


def status_of(error: WavegateError | None) -> Status:
    """Of a stream that has ended so."""
    if error is None:
        return Status.COMPLETED
    # Nothing has failed where a budget has ended.
    return Status.CANCELLED if error.code in ("cancelled", "quota_exceeded") else Status.FAILED


class Stream:
    """One generation and what has become of it: `native` is its channel in the provider's own format."""

    def __init__(
        self,
        rendition: RenditionId,
        order: Order,
        account: Account,
        instruments: Instruments,
        workshop: Workshop,
        *,
        silence_seconds: float = 0.0,
    ) -> None:
        request = order.request
        self.id: StreamId = rendition.stream_id
        self.tenant = order.tenant
        self.request = request
        self.warnings = order.warnings
        self.created_at = instruments.time()
        self.finished_at: float | None = None
        self.status = Status.QUEUED
        self.place: Queued | None = None
        self.error: WavegateError | None = None
        self.request_id: str | None = None
        self.tries = 1
        self.simulated: bool | None = None
        self.lyrics = request.lyrics
        self.titles = Titles(title_of(request.words, request.model))
        self.bill = Bill(0.0, settled=False)
        self.attention = Attention(order.grace, instruments.now)
        self.account = account
        # How many hear it on other nodes, as each of those has said.
        self.elsewhere: dict[str, int] = {}
        self._instruments = instruments
        self._journal = Journal(self.id, self.tenant, request, instruments)
        self._recorder = instruments.recorder
        form = FORMATS[request.input.format]
        self.native = Channel(rendition, form, instruments, workshop.max_bytes)
        self.renditions = Renditions(self.native, workshop)
        self._rendition = NativeRendition(self.native, instruments.now)
        self.silence = Silence(self.id, request.model, silence_seconds, instruments)
        self._ending: WavegateError | None = None
        self._charge = Charge(request)
        self._task: asyncio.Task[None] | None = None
        self._announced: tuple[int, object] = (0, None)
        self._count_again = 0.0
        self._counted_at = instruments.now()
        self._egress = 0
        self._sung = 0.0
        self._begun = False

    @property
    def title(self) -> str:
        """A line to show for it: the first line of its words, as far as they are known."""
        return self.titles.newest

    @property
    def received_seconds(self) -> float:
        """How much sound the provider has delivered."""
        return self._rendition.seconds

    @property
    def audio_seconds(self) -> float:
        """What counts as used: what is billed once that is known, what was delivered until then."""
        return self.bill.seconds if self.status.final else self.received_seconds

    @property
    def sample_rate(self) -> int | None:
        return self.native.details.sample_rate if self.native.details else None

    @property
    def channels(self) -> int | None:
        return self.native.details.channels if self.native.details else None

    @property
    def here(self) -> int:
        """Listeners on this node."""
        return sum(channel.heard for channel in self.renditions)

    @property
    def listeners(self) -> int:
        """Listeners on all nodes."""
        return self.here + sum(self.elsewhere.values())

    @property
    def granted_seconds(self) -> float:
        """How much sound is reserved for it."""
        return self.account.granted

    @property
    def silent(self) -> bool:
        """Whether no sound of it is there."""
        return self.native.end == 0

    @property
    def retained_bytes(self) -> int:
        return self.renditions.retained_bytes

    @property
    def shareable(self) -> bool:
        """Whether somebody else who orders the same song can have this one, from its first sound."""
        failed = self.status in (Status.FAILED, Status.CANCELLED)
        return not failed and self._ending is None and self.native.first == 0

    def traffic(self) -> Traffic | None:
        """What listeners on this node took since the last call, for the ledger; None if there were none."""
        now, egress = self._instruments.now(), self.renditions.egress
        took = Traffic(self.id, self.here * (now - self._counted_at), egress - self._egress)
        self._counted_at, self._egress = now, egress
        return took if took.listener_seconds or took.egress_bytes else None

    def tick(self) -> None:
        """Called about once a second: looks whether anybody listens, tells what is new, keeps house."""
        if self.attention.gone(self.listeners):
            self.cancel(RequestError("cancelled", "Everybody has left, and so this stream was cancelled."))
        if self.status is Status.RUNNING:
            self.silence.look(self.received_seconds, self._rendition.silent_seconds)
        self.announce()
        self.renditions.tick()

    def announce(self) -> None:
        """Tells the listeners what has changed beside the sound: how many they are, the words, how far it is.

        A large crowd is told of its own size less often.
        """
        listeners, now = self.listeners, self._instruments.now()
        self._journal.heard_by(listeners)
        told, before = self._announced
        facts = self.lyrics, self.title, self.status, self.silence.kind
        if facts == before and (told == listeners or now < self._count_again):
            return
        self._announced = listeners, facts
        self._count_again = now + listeners / CROWD_TOLD_A_SECOND
        message = news(self)
        if self.silence.noticed:
            message.silent = self.silence.kind
        self._tell(text_message(encode(message)))

    def _tell(self, text: bytes) -> None:
        for channel in self.renditions:
            channel.tell(text)

    def start(self, tasks: asyncio.TaskGroup, source: Source) -> None:
        """Begins to read the source, in a task of its own inside `tasks`."""
        self._task = tasks.create_task(self._run(source), name=f"stream {self.id}")

    def cancel(self, error: WavegateError | None = None) -> None:
        """Ends the generation; what was delivered is charged. Does nothing to a stream that has ended."""
        if self._task is None or self.status.final or self._ending is not None:
            return
        self._ending = error or RequestError("cancelled", "This stream was cancelled.")
        # A task that is cancelled before its first step never runs, not even its `finally`: it ends by itself then.
        if self._begun:
            self._task.cancel()

    async def wait(self) -> None:
        """Until it has ended and settled."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Cancels it, and waits until it has settled."""
        self.cancel()
        await self.wait()

    async def ended(self) -> None:
        """Until it has ended, and those who hear it in another format have come to its end, too."""
        await self.wait()
        await self.renditions.finished()

    async def keep_lease(self) -> None:
        """Renews its slot while it runs; afterwards tries again with a bill that was not taken."""
        if self.status.final:
            await self.account.settle_again()
        else:
            await self.account.renew(self.received_seconds)

    # -- hearing it ------------------------------------------------------------------------------------------------

    async def obtain(self, wishes: Sequence[Wished], since: Since | None = None) -> Channel:
        """The first of these that can be given: at once, for it is made here. Raises as `Renditions.channel` does."""
        return self.renditions.channel(wishes)

    async def look(self, wishes: Sequence[Wished]) -> Channel | None:
        """The first of these that is made already."""
        return self.renditions.existing(wishes)

    def moment(self, position: Position) -> float | None:
        """The second of the song at this position in the log of any of its formats."""
        return self.renditions.moment(position)

    def came(self) -> None:
        """Somebody listens."""
        self.attention.came()
        self._journal.joined(self.listeners + 1)

    def share(self, grace: float | None) -> None:
        """Somebody else wants it, too."""
        self.attention.extend(grace)

    def close(self, error: ServiceError) -> None:
        """Ends what is in the making of other formats."""
        self.renditions.close(error)

    def forget(self, error: ServiceError) -> None:
        """As `close`, and lets all audio go."""
        self.renditions.forget(error)

    # -- its task --------------------------------------------------------------------------------------------------

    async def _run(self, source: Source) -> None:
        self._begun = True
        self._journal.open()
        self._recorder.stream_started()
        self.status = Status.RUNNING
        error = self._ending
        try:
            if error is None:
                await self._read(source)
        except asyncio.CancelledError:
            error = self._ending or ServiceError("going_away", "The gateway has stopped; the stream has ended.")
        except WavegateError as failure:
            error = failure.again()
        except Exception:
            log_event(logger, "stream.failed", exc_info=True, stream_id=self.id)
            error = ServiceError("internal", "Something went wrong in the gateway; the stream has ended.")
        finally:
            await self._end(error)

    async def _read(self, source: Source) -> None:
        began = self._instruments.now()
        first = True
        async with source.open(self.request, self.tenant) as events:
            async for event in events:
                if isinstance(event, Queued):
                    began = self._instruments.now()
                if first and isinstance(event, AudioDelta):
                    first = False
                    self._recorder.upstream_first_audio(self.request.model, self._instruments.now() - began)
                self._take(event)
                if isinstance(event, Accepted):
                    await self.account.begin(event.request_id)
                elif not self._charge.paid and not self.account.covers(self.received_seconds):
                    await self.account.cover(self.received_seconds)
                    if (fade := self.account.fade) is not None:
                        self._rendition.fade_out(*fade)
        self._rendition.finish(complete=True)
        if self.received_seconds < SHORTEST_SONG_SECONDS:
            raise UpstreamError("upstream_empty", "The provider finished without any sound, or with next to none.")

    def _take(self, event: SourceEvent) -> None:
        self._journal.saw(event)
        self._charge.saw(event)
        if isinstance(event, AudioDelta):
            self._recorder.upstream_received(len(event.data))
            self._rendition.feed(event.data)
            self._count_sound()
        elif isinstance(event, Queued):
            self.status, self.place = Status.QUEUED, event
            self._tell(text_message(encode(queued(self.id, event))))
        elif isinstance(event, Accepted):
            self.status, self.place = Status.RUNNING, None
            self.request_id = event.request_id
            self.simulated = event.simulated
        elif isinstance(event, TriedAgain):
            self.tries = event.attempt
        elif isinstance(event, Finished) and event.lyrics:
            self.lyrics = event.lyrics
            self.titles.settle(title_of(event.lyrics, self.title))
            # The next look may come when the stream has ended, and nobody is there to be told.
            self.announce()

    async def _end(self, error: WavegateError | None) -> None:
        """One place where the bill is settled and everybody is told, whatever ended the stream."""
        if error is not None:
            self._give_the_rest()
        self._count_sound()
        self.error = error
        self.status = status_of(error)
        settlement = self._charge.settlement(self.status, self.received_seconds)
        billed = settlement.billed_seconds if error is None else None
        seconds = settlement.received_seconds if billed is None else billed
        self.bill = Bill(seconds, settled=False, characters=settlement.characters)
        self.finished_at = self._instruments.time()
        self.silence.end()
        try:
            if await self.account.settle(settlement):
                self.bill = replace(self.bill, settled=True)
        finally:
            self.native.close(error, self.bill)
        self._recorder.stream_ended(self.request.model, self.status)
        if isinstance(error, UpstreamError):
            self._recorder.upstream_error(error.code)
        formats = [channel.format.name for channel in self.renditions]
        cost, egress = self.account.cost, self.renditions.egress
        self._journal.ended(Ending(self.status, error, self.bill, cost, self.received_seconds, egress, formats))

    def _count_sound(self) -> None:
        seconds = self.received_seconds
        self._recorder.upstream_sang(seconds - self._sung)
        self._sung = seconds

    def _give_the_rest(self) -> None:
        """What came before the failure is heard to its last whole frame; a second failure changes nothing."""
        try:
            self._rendition.finish(complete=False)
        except Exception:
            log_event(logger, "stream.tail_lost", exc_info=True, stream_id=self.id)
