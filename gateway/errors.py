"""Every way in which Wavegate says no: one exception tree, and one table that says what each code means outside.

    WavegateError
    ├── RequestError        the caller asked for what cannot be; asking again will not help
    ├── AccessError         the caller may not
    ├── LimitError          the caller may, but not now
    ├── UpstreamError       the provider failed us
    └── ServiceError        we failed the caller

Invariant: a `code` is stable for ever, a `message` is a sentence of ours that tells what to do; it never contains
the provider's own words, a key, or a stack trace.
"""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Handling:
    """What a code means at the doors: HTTP status, WebSocket close code if it ends a session, whether to retry."""

    status: int
    close: int
    retryable: bool = False


HANDLING: dict[str, Handling] = {
    # the request itself
    "invalid_request": Handling(400, 1008),
    "invalid_json": Handling(400, 1008),
    "invalid_message": Handling(400, 1003),
    "unknown_type": Handling(400, 1008),
    "bad_protocol": Handling(400, 4010),
    "invalid_input": Handling(400, 1008),
    "unsupported_language": Handling(400, 1008),
    "not_found": Handling(404, 4004),
    "method_not_allowed": Handling(405, 1008),
    "stream_not_found": Handling(404, 4004),
    "already_attached": Handling(409, 1008),
    "already_authenticated": Handling(409, 1008),
    "request_timeout": Handling(408, 1008, retryable=True),
    "message_too_big": Handling(413, 1009),
    "address_too_long": Handling(414, 1008),
    "headers_too_large": Handling(431, 1008),
    "unsupported_media_type": Handling(415, 1003),
    "range_not_satisfiable": Handling(416, 1008),
    "unsupported_format": Handling(422, 1008),
    "idempotency_conflict": Handling(409, 1008),
    "position_lost": Handling(409, 4203),
    # who may
    "missing_credentials": Handling(401, 4001),
    "bad_credentials": Handling(401, 4001),
    "credentials_expired": Handling(401, 4201),
    "ticket_used": Handling(401, 4005),
    "not_authenticated_in_time": Handling(401, 4104, retryable=True),
    "forbidden": Handling(403, 4003),
    "origin_forbidden": Handling(403, 4003),
    "key_in_browser": Handling(403, 4003),
    # not now
    "quota_exceeded": Handling(429, 4008, retryable=True),
    "concurrency_exceeded": Handling(429, 4100, retryable=True),
    "rate_exceeded": Handling(429, 4101, retryable=True),
    "too_slow": Handling(429, 4102, retryable=True),
    # the provider
    "content_rejected": Handling(422, 1008),
    "upstream_refused": Handling(502, 4103),
    "upstream_failed": Handling(502, 4103, retryable=True),
    "upstream_protocol": Handling(502, 4103, retryable=True),
    "upstream_interrupted": Handling(502, 4103, retryable=True),
    "upstream_empty": Handling(502, 4103, retryable=True),
    "upstream_busy": Handling(503, 4103, retryable=True),
    "upstream_unavailable": Handling(503, 4103, retryable=True),
    "upstream_timeout": Handling(504, 4103, retryable=True),
    # ourselves
    "internal": Handling(500, 1011, retryable=True),
    "overloaded": Handling(503, 1013, retryable=True),
    "ledger_unavailable": Handling(503, 1013, retryable=True),
    "cluster_unavailable": Handling(503, 1013, retryable=True),
    "owner_lost": Handling(503, 1012, retryable=True),
    "transcoding_full": Handling(503, 1013, retryable=True),
    "transcoding_failed": Handling(500, 1011, retryable=True),
    "going_away": Handling(503, 1012, retryable=True),
    "cancelled": Handling(409, 1000),
}


class WavegateError(Exception):
    """A refusal with a stable `code`, a sentence for people, and what a client needs to act on it.

    `param` names the offending field with dots (`input.lyrics`); `retry_after` is in seconds.
    """

    def __init__(self, code: str, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.handling = HANDLING[code]

    def again(self) -> Self:
        """The same without the frames that it came through: to be kept, or raised where it has a name already.

        An error refers to the frames that raised it. One that is kept by what these refer to, be it by a name in one of
        them, makes a circle, which stays until somebody looks for circles; and each time it is raised it grows.
        """
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        return other

    def body(self) -> dict[str, Any]:
        """The error object of every answer: `{"code", "message", "retryable", "retry_after_ms", "param"}`."""
        after = None if self.retry_after is None else round(self.retry_after * 1000)
        return {
            "code": self.code,
            "message": self.message,
            "retryable": self.handling.retryable,
            "retry_after_ms": after,
            "param": self.param,
        }

    def close_reason(self) -> str:
        """The reason of a WebSocket close frame: `slug` or `slug;retry_after_ms=N`, at most 123 bytes."""
        if self.retry_after is None:
            return self.code
        return f"{self.code};retry_after_ms={round(self.retry_after * 1000)}"


class RequestError(WavegateError):
    """The caller asked for what cannot be."""


class AccessError(WavegateError):
    """The caller may not."""


class LimitError(WavegateError):
    """The caller may, but not now."""


class UpstreamError(WavegateError):
    """The provider failed us. `request_id` joins our log with the provider's."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(code, message, param=param, retry_after=retry_after)
        self.request_id = request_id


class ServiceError(WavegateError):
    """We failed the caller."""


class StartError(Exception):
    """A server cannot start as it was asked to; the message says why, and what to do, to whoever starts it."""
