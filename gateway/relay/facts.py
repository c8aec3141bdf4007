"""A stream as its owner tells other nodes of it.

Invariant: all that any door shows of a stream is told, so that every node shows the same.
It must not know who asks.
"""

from gateway.model import SongRequest, SpeechRequest
from gateway.relay.letters import Facts, Trouble
from gateway.relay.replica import AnyStream


def facts_of(stream: AnyStream) -> Facts:
    """What a node says of a stream that it owns."""
    request, rendition = stream.request, stream.native.rendition
    return Facts(
        id=stream.id,
        tenant=stream.tenant,
        song=request if isinstance(request, SongRequest) else None,
        speech=request if isinstance(request, SpeechRequest) else None,
        warnings=stream.warnings,
        created_at=stream.created_at,
        finished_at=stream.finished_at,
        status=stream.status,
        place=stream.place,
        error=Trouble.of(stream.error),
        request_id=stream.request_id,
        tries=stream.tries,
        simulated=stream.simulated,
        lyrics=stream.lyrics,
        title=stream.title,
        bill=stream.bill,
        received_seconds=stream.received_seconds,
        sample_rate=stream.sample_rate,
        channels=stream.channels,
        listeners=stream.listeners,
        shareable=stream.shareable,
        form=stream.native.format.name,
        number=rendition.number,
        epoch=rendition.epoch,
    )
