"""Streams and tenants as documents: what REST answers and WebSocket messages show of them.

Invariant: the same stream gives the same document at every door; the provider's own words never appear in it.
It must not change anything it shows.
"""

import time
from dataclasses import replace
from typing import Any

import msgspec

from gateway.accounting import Generation, State
from gateway.config.schema import Config
from gateway.errors import ServiceError
from gateway.model import GenerationRequest, Principal, Status, StreamId
from gateway.protocol import events
from gateway.relay.outcome import Bill
from gateway.relay.replica import AnyStream


def usage(bill: Bill) -> events.Usage:
    """A bill as clients see it."""
    characters = msgspec.UNSET if bill.characters is None else bill.characters
    return events.Usage(round(bill.seconds, 3), bill.settled, characters)


def stream_info(stream: AnyStream, base: str) -> events.StreamInfo:
    """StreamInfo of the contract; `base` is the gateway's address as the client wrote it (http://host:port)."""
    return events.StreamInfo(
        id=stream.id,
        status=stream.status.value,
        model=stream.request.model,
        mode=stream.request.mode.value,
        created_at=round(stream.created_at, 3),
        duration_seconds=round(stream.received_seconds, 3),
        sample_rate=stream.sample_rate,
        channels=stream.channels,
        lyrics=stream.lyrics,
        title=stream.title,
        listeners=stream.listeners,
        usage=usage(replace(stream.bill, seconds=stream.audio_seconds)),
        urls=_urls(stream.id, stream.native.format.name, base),
        error=events.ErrorBody.of(stream.error) if stream.error else None,
        warnings=stream.warnings,
        simulated=stream.simulated,
    )


def generation_info(generation: Generation, request: GenerationRequest, base: str) -> events.StreamInfo:
    """StreamInfo of a stream that is kept no more, as far as the ledger and its order tell it."""
    expired = generation.status is State.EXPIRED
    gone = ServiceError("going_away", "The gateway ended while this stream was made.")
    characters = msgspec.UNSET if generation.characters is None else generation.characters
    ended = generation.finished_at is not None
    seconds = round(generation.settled if ended else generation.received, 3)
    return events.StreamInfo(
        id=generation.stream_id,
        status=Status.FAILED.value if expired else generation.status.value,
        model=generation.model,
        mode=request.mode.value,
        created_at=round(generation.created_at, 3),
        duration_seconds=round(generation.received, 3),
        sample_rate=None,
        channels=None,
        lyrics=request.lyrics,
        title=None,
        listeners=0,
        usage=events.Usage(seconds, ended, characters),
        urls=_urls(generation.stream_id, request.input.format, base),
        error=events.ErrorBody.of(gone) if expired else None,
        warnings=["This stream is no longer kept here: this is what the ledger knows of it."],
        simulated=None,
    )


def _urls(stream_id: StreamId, form: str, base: str) -> events.Urls:
    return events.Urls(
        audio=f"{base}/v1/streams/{stream_id}/audio.{form}",
        hls=f"{base}/v1/streams/{stream_id}/hls/index.m3u8",
        ws=f"ws{base.removeprefix('http')}/v1/ws",
    )


def session_created(session_id: str, principal: Principal, config: Config, limits: Any) -> events.SessionCreated:
    """The first message of an authenticated session, with every limit a client may run into."""
    return events.SessionCreated(
        session_id,
        principal.tenant,
        {
            "concurrent_streams": limits.concurrent_streams,
            "listeners": limits.listeners,
            "connections": limits.connections,
            "max_message_bytes": config.server.max_message_bytes,
            "retain_seconds": config.relay.retain_seconds,
            "max_stream_bytes": config.relay.max_stream_bytes,
            "retain_bytes": config.relay.retain_bytes,
            "live_lag_seconds": config.relay.live_lag,
            "stall_timeout_seconds": config.relay.stall_timeout,
        },
        server_time=time.time(),
    )
