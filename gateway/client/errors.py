"""The one exception of the Python client.

Invariant: `code` is the gateway's own code where the gateway spoke (see gateway/errors.py), and otherwise one of
`invalid_server`, `invalid_key`, `invalid_ticket`, `missing_credentials`, `unreachable`, `connection_lost`,
`no_answer`, `refused`, `closed`, `bad_protocol`; `message` is a sentence for people. It never holds a key, and it must
not know how a connection works.
"""

from gateway.protocol.events import ErrorBody

# Codes of what was wrong before anybody was asked.
USAGE = frozenset({"invalid_server", "invalid_key", "invalid_ticket", "missing_credentials"})


class ClientError(Exception):
    """Why there is no (more) song. `retryable` says whether asking again may help, `retry_after` when (seconds)."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.param = param

    @classmethod
    def of(cls, body: ErrorBody) -> "ClientError":
        """The gateway's error object as an exception."""
        after = None if body.retry_after_ms is None else body.retry_after_ms / 1000
        return cls(body.code, body.message, retryable=body.retryable, retry_after=after, param=body.param)
