"""The clip door: GET …/clip.EXT, a piece of a song as a file of its own, cut from what exists of it so far.

Invariant: the loop only joins bytes; cutting is done elsewhere. Whatever a stranger asks for is a clip or an error that
names the field; a clip's second is the song's, also where the oldest of it is no longer kept.
It must not know how clips are cut.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from gateway.errors import LimitError, RequestError
from gateway.model import TenantId
from gateway.relay.channel import Channel
from gateway.relay.replica import AnyStream
from gateway.relay.wishes import Wished, possible
from gateway.server.heads import headers_of
from gateway.server.query import asked_format, number
from transcode.edit import Edit
from transcode.formats import PCM, Format, StreamFormat
from transcode.spec import Wish, resolve

RETRY_SECONDS = 5.0
_SWITCH = {"true": True, "1": True, "": True, "false": False, "0": False}


class Cutter(Protocol):
    """Who cuts clips."""

    def check(self, edit: Edit, form: Format, wish: Wish) -> None:
        """Raises what `cut` would at once for any song."""
        ...

    async def cut(self, song: bytes, edit: Edit, form: Format, wish: Wish) -> bytes:
        """A whole file. Raises RequestError and ServiceError."""
        ...


class ClipDoor:
    """The handler of …/clip.EXT. Of the `places` that there are for clips, no tenant has more than half."""

    def __init__(self, cutter: Cutter, places: int = 2) -> None:
        self._cutter = cutter
        self._most = max(1, places // 2)
        self._cutting: dict[TenantId, set[object]] = {}

    async def handle(self, request: web.Request, stream: AnyStream) -> web.Response:
        """Answers GET, and HEAD without cutting anything. Raises LimitError, RequestError and ServiceError."""
        form, wish = possible([asked_format(request.match_info["ext"], request.query)])[0]
        edit = _edit(request.query)
        native = await stream.obtain([Wished(stream.native.format, Wish())])
        if native.end == native.first:
            if stream.error is not None:
                raise stream.error.again()
            raise RequestError("invalid_input", "Nothing of this song is there yet.", param="start")
        details = native.details
        assert details is not None, "it is known with the first sound"
        if form is PCM:
            # Nothing in the bytes tells what they are: the clip is made to be what its head says.
            spec = resolve(form, wish, details)
            wish = replace(wish, sample_rate=spec.sample_rate, channels=spec.channels)
            details = StreamFormat(form, spec.sample_rate, spec.channels, None)
        edit = replace(edit, start=_kept(native, edit.start))
        headers = {
            "Content-Type": headers_of(form, details)["Content-Type"],
            "Content-Disposition": f'inline; filename="{stream.id}.{form.name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        if request.method == "HEAD":
            return web.Response(headers=headers)
        # To join 38 MB takes the loop 10 ms: not for whoever is refused.
        self._cutter.check(edit, form, wish)
        with self._place(stream.tenant):
            body = await self._cutter.cut(_song(native), edit, form, wish)
        stream.renditions.sent(form, len(body))
        return web.Response(body=body, headers=headers)

    @contextmanager
    def _place(self, tenant: TenantId) -> Iterator[None]:
        """One of the tenant's. Raises LimitError."""
        mine, place = self._cutting.setdefault(tenant, set()), object()
        if len(mine) >= self._most:
            sentence = f"All {self._most} clips that this tenant may have cut at once are being cut."
            raise LimitError("concurrency_exceeded", sentence, retry_after=RETRY_SECONDS)
        mine.add(place)
        try:
            yield
        finally:
            mine.discard(place)
            if not mine:
                del self._cutting[tenant]


def _edit(query: Mapping[str, str]) -> Edit:
    """What the clip is to be. Raises RequestError for what is no number; what cannot be is told by who cuts."""
    return Edit(
        start=number(query, "start", float) or 0.0,
        duration=number(query, "duration", float),
        fade_in=number(query, "fade_in", float) or 0.0,
        fade_out=number(query, "fade_out", float) or 0.0,
        normalize=_normalize(query),
        loop_crossfade=number(query, "loop_crossfade", float) or 0.0,
    )


def _normalize(query: Mapping[str, str]) -> bool | float:
    """A switch, or a loudness in LUFS."""
    switch = _SWITCH.get(query.get("normalize", "false").lower())
    return switch if switch is not None else number(query, "normalize", float) or False


def _kept(native: Channel, start: float) -> float:
    """The second of the song, as one of what is kept of it. Raises RequestError where it has gone, or never was."""
    begin, end = native.seconds(native.pts(native.first)), native.seconds(native.end_pts)
    if not native.first or begin <= start < end:
        return start - begin
    # Rounded inwards: both are seconds that can be asked for.
    kept = f"{math.ceil(begin * 1000) / 1000:.3f} s to {math.floor(end * 1000) / 1000:.3f} s"
    raise RequestError(
        "invalid_input", f"A clip cannot start at {start:g} s: of this song only {kept} are kept.", param="start"
    )


def _song(native: Channel) -> bytes:
    """What is retained of the provider's own bytes, as a file."""
    init = native.init.payload if native.init is not None else b""
    return init + b"".join([chunk.payload for chunk in native.retained])
