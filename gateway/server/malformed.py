"""Requests that are none: what to say to bytes that are no HTTP, and to a `Host`, an encoding or an expectation that
nobody can make sense of.

Invariant: whoever sends what cannot be read hears so as from every other door, in the error body;
it is a fault of theirs, so no traceback is written for it. It must not know what was asked for.
"""

import re

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from gateway.errors import RequestError, ServiceError, WavegateError
from gateway.protocol.events import encode

# A name or an address, and perhaps a port: what may stand in the addresses that answers tell (RFC 9112, 3.2).
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Za-z:.%_-]{2,64}\])(:\d{0,5})?", re.ASCII)


class AddressTooLong(BadHttpMessage):
    """The address of a request is."""


class HeadTooLarge(BadHttpMessage):
    """A request's headers are too many, too long, or too much together."""


def check_host(request: web.Request) -> None:
    """Raises RequestError for a Host that is none. Without one it is a request of HTTP/1.0."""
    host = request.headers.get("Host")
    if host is not None and not _HOST.fullmatch(host):
        raise RequestError("invalid_request", "The Host of the request is no address.", param="Host")


def mistake_of(request: web.Request, error: Exception) -> RequestError | None:
    """What is wrong with a request on which a handler failed with this error; None if that was our own fault."""
    if isinstance(error, web.RequestPayloadError):
        return RequestError("invalid_request", "The body of the request is not encoded as its headers say.")
    try:
        request.url.origin()
    except ValueError:
        return RequestError("invalid_request", "The Host of the request is no address.", param="Host")
    return None


def unreadable(status: int, reason: BaseException | None = None) -> web.Response:
    """The answer to what the HTTP server could not read or, from 500 on, failed on itself; the connection ends."""
    error: WavegateError = RequestError("invalid_request", "This is no request of HTTP/1.1 that can be read.")
    if status >= 500:
        error = ServiceError("internal", "Something went wrong in the gateway.")
    elif isinstance(reason, AddressTooLong):
        error = RequestError("address_too_long", "The address of the request is longer than this gateway takes.")
    elif isinstance(reason, HeadTooLarge):
        error = RequestError("headers_too_large", "The headers of the request are more than this gateway takes.")
    response = web.Response(status=error.handling.status)
    _say(response, error)
    response.force_close()
    return response


async def in_our_words(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: a refusal of aiohttp's own (417 for an `Expect`) says the same, with its status.

    No middleware has seen such a request, so none has counted it; the connection ends, and connections are counted.
    """
    if isinstance(response, web.HTTPException) and response.status >= 400:
        response.force_close()
        response.headers["Connection"] = "close"
        _say(response, RequestError("invalid_request", "This request expects what this gateway does not do."))


def _say(response: web.Response, error: WavegateError) -> None:
    response.body = body = encode({"error": error.body()})
    # The head may have been made of what was to be said before: with its length the rest of this would be taken for
    # the beginning of the next answer, which behind a proxy is somebody else's.
    response.headers["Content-Length"] = str(len(body))
    response.headers["Content-Type"] = "application/json"
    if not error.handling.retryable:
        response.headers["X-Should-Retry"] = "false"
