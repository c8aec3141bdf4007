"""Minting a ticket with a tenant's key, for `wavegate ticket`: one request over HTTP.

Invariant: every wait is bounded; the key goes to the server that was named and nowhere else, and into no error.
It must not know what a ticket's bytes mean.
"""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.client.address import door
from gateway.client.errors import ClientError
from gateway.protocol.events import ErrorBody

TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 65536


class _Answer(msgspec.Struct):
    ticket: str | None = None
    expires_at: int = 0
    error: ErrorBody | None = None


def mint(server: str, key: str, stream_id: str | None, ttl_seconds: int) -> tuple[str, int]:
    """The ticket, and until when it is good in Unix seconds. Raises ClientError."""
    if not (key.isascii() and key.isprintable() and key and " " not in key):
        raise ClientError("invalid_key", "A key is made of printable ASCII characters without spaces.")
    url = urlsplit(door(server))
    wanted: dict[str, Any] = {"ttl_seconds": ttl_seconds} | ({} if stream_id is None else {"stream_id": stream_id})
    kind = HTTPSConnection if url.scheme == "wss" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", url.path.removesuffix("/ws") + "/tickets", msgspec.json.encode(wanted), headers)
        answer = msgspec.json.decode(connection.getresponse().read(_MOST_BYTES), type=_Answer)
    except (OSError, HTTPException) as error:
        raise ClientError("unreachable", f"The server cannot be reached: {error}.", retryable=True) from None
    except msgspec.DecodeError:
        raise ClientError("bad_protocol", "This server is no Wavegate: its answer is not understood.") from None
    finally:
        connection.close()
    if answer.error is not None:
        raise ClientError.of(answer.error)
    if answer.ticket is None:
        raise ClientError("bad_protocol", "This server is no Wavegate: its answer is not understood.")
    return answer.ticket, answer.expires_at
