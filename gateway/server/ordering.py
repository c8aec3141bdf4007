"""From what a client asked for to a song that may be bought: defaults filled in, the provider's limits checked.

Invariant: nothing has been spent when this says no. REST and WebSocket come through the same function.
It must not know sockets, tenants or the ledger.
"""

from collections.abc import Sequence

from gateway.errors import RequestError
from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol import limits
from gateway.protocol.messages import CreateBody, FormatChoice, FormatSpec, StreamCreate
from gateway.relay.stream import serves
from transcode.formats import FORMATS


def wishes(choice: FormatChoice | None) -> list[FormatSpec]:
    """A client's `format` as a list, best first; empty when it left the choice to us."""
    if choice is None:
        return []
    several = choice if isinstance(choice, list) else [choice]
    return [FormatSpec(wish) if isinstance(wish, str) else wish for wish in several]


def song_of(body: CreateBody | StreamCreate, default_model: str) -> tuple[SongRequest, list[str]]:
    """The song to buy and the warnings its buyer should see. Raises RequestError naming the field that is wrong."""
    if body.mode not in list(Mode):
        raise RequestError("invalid_input", "The mode is `stream` or `file`.", param="mode")
    asked = body.input
    wished = wishes(body.format) if isinstance(body, StreamCreate) else []
    song = SongRequest(
        model=body.model or default_model,
        mode=Mode(body.mode),
        input=SongInput(
            prompt=asked.prompt,
            lyrics=asked.lyrics,
            gender=asked.gender,
            is_instrumental=asked.is_instrumental,
            format=asked.format or _provider_format(wished),
            enable_aigc_watermark=asked.enable_aigc_watermark,
        ),
    )
    warnings = limits.check(song)
    if wished and not any(serves(song.input.format, None, wish) for wish in wished):
        raise RequestError("unsupported_format", f"A stream can be heard as: {', '.join(FORMATS)}.", param="format")
    if body.share:
        warnings.append("`share` is not in force in this version: a generation of its own was started.")
    if body.abandon not in (None, "finish"):
        warnings.append("`abandon` is not in force in this version: the stream goes on when nobody listens.")
    return song, warnings


def _provider_format(wished: Sequence[FormatSpec]) -> str:
    """What to order when the client named only what it wants to hear: that, if the provider sings it."""
    return next((wish.codec for wish in wished if wish.codec in FORMATS), "mp3")
