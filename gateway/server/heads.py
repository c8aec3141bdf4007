"""The heads of answers: what every one with audio says of its bytes and every refusal of itself, and the wire's form.

Invariant: no value can end its line, whoever wrote it; nothing in between may hold a song back, keep it or change it.
It must not know who is answered.
"""

import math
import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from gateway.errors import WavegateError
from transcode.formats import PCM, Format, StreamFormat

_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f]")


def headers_of(form: Format, details: StreamFormat | None) -> dict[str, str]:
    """What every answer with this audio says. X-Accel-Buffering keeps nginx from holding the song back."""
    content_type = form.content_type
    if form is PCM and details is not None:
        # Nothing in the bytes tells.
        content_type = f"{content_type};rate={details.sample_rate};channels={details.channels}"
    return {
        "Content-Type": content_type,
        "Cache-Control": "no-store, no-transform",
        "X-Accel-Buffering": "no",
        "X-Content-Type-Options": "nosniff",
    }


def refusal_headers(error: WavegateError) -> dict[str, str]:
    """What every refusal says beside its body."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if not error.handling.retryable:
        # OpenAI's libraries would ask again after any 409 and 5xx.
        headers["X-Should-Retry"] = "false"
    if error.handling.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The head of a body on a connection that ends behind it."""
    said = {"Date": formatdate(usegmt=True), **headers, "Connection": "close"}
    lines = [f"{name}: {_LINE_ENDS.sub(' ', value)}" for name, value in said.items()]
    return "\r\n".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *lines, "", ""]).encode(errors="replace")
