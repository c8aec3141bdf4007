"""What listeners wish to hear, held against what can be made: names become formats, numbers are checked.

Invariant: whatever passes here can be resolved for any song, so nobody waits for a format that will never come.
It must not know streams, or which formats are being made already.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.errors import RequestError
from gateway.protocol.messages import FormatSpec
from transcode.errors import UnsupportedFormat
from transcode.formats import FORMATS, Format, StreamFormat
from transcode.spec import Wish, check

# The codec by which some know a format: its usual container.
_ALSO = {"opus": "ogg", "adts": "aac", "m4a": "mp4"}


class Wished(NamedTuple):
    """A wish that can be met."""

    form: Format
    wish: Wish


def possible(wishes: Sequence[FormatSpec]) -> list[Wished]:
    """Those that can be met, in their order. Raises RequestError `unsupported_format` when there are none."""
    found: list[Wished] = []
    mistakes: list[RequestError] = []
    for wish in wishes:
        try:
            found.append(_checked(wish))
        except RequestError as mistake:
            mistakes.append(mistake.again())
    if not found:
        raise mistakes[0].again() if mistakes else RequestError("unsupported_format", "Name a format.", param="format")
    return found


def serves(native: Format, details: StreamFormat | None, wished: Wished) -> bool:
    """Whether the provider's own audio is what is wished, without conversion. Its numbers come with its first sound."""
    wish = wished.wish
    if wished.form != native or wish.loudness is not None:
        return False
    asked = (wish.sample_rate, wish.channels, wish.bitrate)
    if asked == (None, None, None):
        return True
    if details is None:
        return False
    real = (details.sample_rate, details.channels, details.bitrate)
    return all(a is None or a == r for a, r in zip(asked, real, strict=True))


def _checked(asked: FormatSpec) -> Wished:
    form = FORMATS.get(_ALSO.get(asked.codec, asked.codec))
    if form is None:
        raise RequestError("unsupported_format", f"A stream can be heard as: {', '.join(FORMATS)}.", param="format")
    wish = Wish(asked.sample_rate, asked.channels, asked.bitrate, asked.loudness)
    try:
        check(form, wish)
    except UnsupportedFormat as mistake:
        raise RequestError("unsupported_format", str(mistake), param=f"format.{mistake.field}") from None
    return Wished(form, wish)
