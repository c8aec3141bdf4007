"""The clip door: GET …/clip.EXT, a piece of a song as a file of its own, cut from what exists of it so far.

Invariant: the loop only joins bytes; cutting is done elsewhere. Whatever a stranger asks for is a clip or an error that
names the field. It must not know how clips are cut.
"""

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from gateway.errors import RequestError
from gateway.relay.channel import Channel
from gateway.relay.replica import AnyStream
from gateway.relay.wishes import Wished, possible
from gateway.server.query import asked_format, number
from transcode.edit import Edit
from transcode.formats import Format
from transcode.spec import Wish

_SWITCH = {"true": True, "1": True, "": True, "false": False, "0": False}


class Cutter(Protocol):
    """Who cuts clips."""

    async def cut(self, song: bytes, edit: Edit, form: Format, wish: Wish) -> bytes:
        """A whole file. Raises RequestError and ServiceError."""
        ...


class ClipDoor:
    """The handler of …/clip.EXT."""

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter

    async def handle(self, request: web.Request, stream: AnyStream) -> web.Response:
        """Answers GET, and HEAD without cutting anything. Raises RequestError and ServiceError."""
        form, wish = possible([asked_format(request.match_info["ext"], request.query)])[0]
        edit = _edit(request.query)
        song = _song(stream, await stream.obtain([Wished(stream.native.format, Wish())]))
        headers = {
            "Content-Type": form.content_type,
            "Content-Disposition": f'inline; filename="{stream.id}.{form.name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        body = b"" if request.method == "HEAD" else await self._cutter.cut(song, edit, form, wish)
        return web.Response(body=body, headers=headers)


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


def _song(stream: AnyStream, native: Channel) -> bytes:
    """What is retained of the provider's own bytes, as a file. Raises when there is nothing."""
    if native.end == native.first:
        raise stream.error or RequestError("invalid_input", "Nothing of this song is there yet.", param="start")
    init = native.init.payload if native.init is not None else b""
    return init + b"".join([chunk.payload for chunk in native.retained])
