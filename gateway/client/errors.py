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
    """Why there is no (more) song, or no answer.

    `code` is for programs, `message` (and `str`) for people. `retryable` says whether asking again may help,
    `retry_after` when, in seconds. `param` names the field that was wrong. `close_code` is the WebSocket close code of
    the contract that the connection ended with or that belongs to the gateway's answer, 1006 for one that was lost,
    None where no connection had to do with it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        param: str | None = None,
        close_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.param = param
        self.close_code = close_code

    def adding(self, sentence: str, *, retryable: bool | None = None) -> "ClientError":
        """The same error, with one more sentence about it."""
        return ClientError(
            self.code,
            f"{self.message} {sentence}",
            retryable=self.retryable if retryable is None else retryable,
            retry_after=self.retry_after,
            param=self.param,
            close_code=self.close_code,
        )

    @classmethod
    def of(cls, body: ErrorBody) -> "ClientError":
        """The gateway's error object as an exception."""
        after = None if body.retry_after_ms is None else body.retry_after_ms / 1000
        return cls(body.code, body.message, retryable=body.retryable, retry_after=after, param=body.param)
