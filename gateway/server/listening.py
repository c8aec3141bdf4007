"""What a request for audio asks for, and what there is to answer it with, before anybody listens.

Invariant: what a request wants is read completely before anything is given; whatever a stranger writes is an answer or
a refusal that names the field. Nothing here waits, spends or writes. It must not know sockets or tickets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from gateway.errors import RequestError
from gateway.protocol.messages import FormatSpec
from gateway.relay.channel import Channel
from gateway.relay.replica import AnyStream
from gateway.relay.since import FromStart, SecondsAgo, Since, locate
from gateway.relay.wishes import Wished, possible
from gateway.server import icy
from gateway.server.heads import headers_of
from gateway.server.query import asked_format
from gateway.server.ranges import Body, Part, part_of
from transcode.formats import PCM, StreamFormat

# Browsers read a progressive body in blocks of 32 KiB: with less than two of them in stock an element stalls.
LIVE_BURST_SECONDS = 2.0

# As long as a number may be, and no longer than anybody means.
_SECONDS = re.compile(r"\d{1,9}(\.\d{0,9})?(e\d)?", re.ASCII | re.IGNORECASE)


def asked(request: web.Request) -> tuple[list[Wished], Since]:
    """What is to be heard, and from where. Raises RequestError for what cannot be."""
    spec: FormatSpec = asked_format(request.match_info["ext"], request.query)
    return possible([spec]), since_of(request.query.get("since", "start"))


def since_of(text: str) -> Since:
    """The `since` of an address. Raises RequestError that names it."""
    if text == "start":
        return FromStart()
    if text == "live":
        return SecondsAgo(LIVE_BURST_SECONDS)
    if _SECONDS.fullmatch(text) and (seconds := float(text)) < 1e9:
        return SecondsAgo(seconds)
    raise RequestError("invalid_request", "since is `start`, `live`, or how many seconds ago.", param="since")


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer to one request as far as it is known: the audio, where it begins, and which part of it is wanted."""

    stream: AnyStream
    channel: Channel
    since: Since
    body: Body
    part: Part
    titles: bool

    @property
    def first_chunk(self) -> int:
        """The chunk with which a listener of this would begin now."""
        return _begin(self.stream, self.channel, self.since)

    @property
    def status(self) -> int:
        return 200 if self.part.content_range is None else 206

    @property
    def waits(self) -> bool:
        """Whether its head can only be written once the song's first sound is there."""
        return self.titles or (self.channel.format is PCM and self.channel.details is None)

    def headers(self, details: StreamFormat | None, interval: int) -> dict[str, str]:
        """What the answer says of its bytes; `interval` is that between titles."""
        said = headers_of(self.channel.format, details)
        if self.titles:
            return said | icy.headers(self.stream.title, interval, details)
        if not self.body.anchored:
            said["Accept-Ranges"] = "none"
        else:
            said["ETag"] = self.body.tag
            if self.body.whole:
                said["Accept-Ranges"] = "bytes"
        if self.part.length is not None:
            said["Content-Length"] = str(self.part.length)
        if self.part.content_range is not None:
            said["Content-Range"] = self.part.content_range
        return said

    def place(self) -> tuple[Since, int]:
        """Where a listener of this part begins, and how many bytes it is sent there that it does not want."""
        if not self.part.first:
            return self.since, 0
        header = header_size(self.channel)
        at = header
        for chunk in self.channel.retained:
            if at + len(chunk.payload) > self.part.first:
                return self.channel.position(chunk.seq), header + self.part.first - at
            at += len(chunk.payload)
        return self.channel.position(self.channel.end), header


def offered(headers: Mapping[str, str], stream: AnyStream, channel: Channel, since: Since) -> Offer:
    """What this channel has for a request with these headers. Raises RequestError, or why there is nothing to hear."""
    whole = channel.outcome is not None
    if channel.outcome is not None and channel.outcome.error is not None and channel.end == 0:
        raise channel.outcome.error.again()
    # A player that can seek in what is whole would rather seek.
    titles = headers.get("Icy-MetaData") == "1" and channel.format in icy.FORMATS and not (whole and "Range" in headers)
    kept = not (isinstance(since, FromStart) and channel.first)
    anchored = isinstance(since, FromStart) and kept and not titles
    # While more is to come, what is there matters only to those who hear it from the start.
    begin = _begin(stream, channel, since) if whole else 0
    held = channel.size if begin == channel.first == 0 else header_size(channel) + _size(channel, begin)
    # A length would say that a song which has lost its beginning is all there.
    body = Body(held, whole and kept and not titles, anchored, entity_tag(channel))
    return Offer(stream, channel, since, body, part_of(headers, body), titles)


def entity_tag(channel: Channel) -> str:
    """Names these bytes: the same while they are made and when they are whole, another if they are made again."""
    return f'"{channel.rendition.number:08x}{channel.rendition.epoch:08x}"'


def header_size(channel: Channel) -> int:
    """Of what stands before the first chunk."""
    return len(channel.init.payload) if channel.init else 0


def _begin(stream: AnyStream, channel: Channel, since: Since) -> int:
    place = locate(channel, since, stream.native, stream.moment)
    if place.wanted is None or channel.details is None:
        return max(place.seq, channel.first)
    return channel.seq_at(round(place.wanted * channel.details.sample_rate))


def _size(channel: Channel, begin: int) -> int:
    return sum(len(chunk.payload) for chunk in channel.retained[max(0, begin - channel.first) :])
