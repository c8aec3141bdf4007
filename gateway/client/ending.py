"""How a connection ended, and what a client does about it: the close codes of the contract as one table.

    1001 1012            the gateway is going away      come back after the time it gave
    40xx, 1000 and the   nothing to hear here, or our   stop
    client's own faults  fault
    42xx                 moved, or the place is lost    come back at once
    41xx 1006 1011 1013  not now                        back off, not before retry_after
    and what is unknown

Invariant: an HTTP refusal, an `error` message and a close frame with the same code lead to the same move.
It must not know sockets or clocks.
"""

from enum import Enum, auto

import msgspec

from gateway.client.errors import ClientError
from gateway.errors import HANDLING
from gateway.protocol.events import ErrorBody

ABNORMAL = 1006
NOT_FOUND = 4004
CREDENTIALS_EXPIRED = 4201
POSITION_LOST = 4203

# What to call an ending, and what to say, when the gateway gave no reason of its own.
_CLOSES: dict[int, tuple[str, str]] = {
    1000: ("closed", "The gateway ended the connection before the song was over."),
    1001: ("going_away", "The gateway is going away."),
    1002: ("bad_protocol", "The connection carried something that is not WebSocket."),
    1003: ("invalid_message", "The gateway could not read what this client sent."),
    ABNORMAL: ("connection_lost", "The connection to the gateway was lost."),
    1008: ("invalid_request", "The gateway refused what this client asked for."),
    1009: ("message_too_big", "A message was larger than the other side takes."),
    1011: ("internal", "Something went wrong in the gateway."),
    1012: ("going_away", "The gateway is restarting."),
    1013: ("overloaded", "The gateway has more to do than it can."),
    4001: ("bad_credentials", "The gateway does not know this key or ticket."),
    4003: ("forbidden", "This key or ticket may not do that."),
    NOT_FOUND: ("stream_not_found", "There is no such stream."),
    4005: ("ticket_used", "This ticket has been used."),
    4008: ("quota_exceeded", "The budget is used up."),
    4010: ("bad_protocol", "The gateway speaks another protocol than this client."),
    4100: ("concurrency_exceeded", "Too many songs at the same time."),
    4101: ("rate_exceeded", "Too many requests in a short time."),
    4102: ("too_slow", "The audio was not taken fast enough."),
    4103: ("upstream_unavailable", "The music provider cannot be reached."),
    4104: ("not_authenticated_in_time", "The gateway did not get the credentials in time."),
    4200: ("moved", "The stream has moved."),
    CREDENTIALS_EXPIRED: ("credentials_expired", "The credentials have expired."),
    POSITION_LOST: ("position_lost", "The gateway does not know this position any more."),
}

_STOP = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010})
_BUSY_STATUS = frozenset({429, 500, 502, 503, 504})


class Move(Enum):
    """What to do after an ending."""

    STOP = auto()
    AT_ONCE = auto()
    AS_TOLD = auto()
    BACK_OFF = auto()


class Ending(Exception):  # noqa: N818 - most of them are no errors but turns in the road
    """A connection is over, or did not come to be. `code` is a WebSocket close code, `retry_after` in seconds."""

    def __init__(
        self,
        code: int,
        slug: str | None = None,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        retryable: bool | None = None,
        param: str | None = None,
    ) -> None:
        known = _CLOSES.get(code, ("closed", f"The gateway closed the connection with code {code}."))
        self.code = code
        self.slug = slug or known[0]
        self.message = message or known[1]
        self.retry_after = retry_after
        self.param = param
        self._retryable = retryable
        self._final = False
        super().__init__(self.message)

    @classmethod
    def of_close(cls, code: int, reason: str) -> "Ending":
        """From a close frame, whose reason is `slug` or `slug;retry_after_ms=N`."""
        slug, _, rest = reason.partition(";")
        name, _, number = rest.partition("=")
        after = int(number) / 1000 if name == "retry_after_ms" and number.isdecimal() else None
        return cls(code, slug or None, retry_after=after)

    @classmethod
    def of_body(cls, body: ErrorBody) -> "Ending":
        """From the error object of an `error` message or of a refused handshake."""
        handling = HANDLING.get(body.code)
        code = handling.close if handling else (1013 if body.retryable else 1008)
        after = None if body.retry_after_ms is None else body.retry_after_ms / 1000
        return cls(code, body.code, body.message, retry_after=after, retryable=body.retryable, param=body.param)

    @classmethod
    def of_refusal(cls, url: str, status: int, body: bytes, retry_after: str | None) -> "Ending":
        """From the HTTP answer to a handshake: ours carry an error object, those of a proxy in between do not."""
        try:
            ending = cls.of_body(_refusal.decode(body).error)
        except (msgspec.DecodeError, UnicodeDecodeError):
            code = 1013 if status in _BUSY_STATUS else 1008
            ending = cls(code, "refused", f"{url} refused the connection with HTTP {status}.")
        if ending.retry_after is None and retry_after is not None and retry_after.isdecimal():
            ending.retry_after = float(retry_after)
        return ending

    @property
    def move(self) -> Move:
        """What the contract has a client do."""
        if self._final:
            return Move.STOP
        if self.code in (1001, 1012):
            return Move.AS_TOLD
        if self.code in _STOP or 4000 <= self.code < 4100:
            return Move.STOP
        if 4200 <= self.code < 4300:
            return Move.AT_ONCE
        return Move.STOP if self._retryable is False else Move.BACK_OFF

    def error(self) -> ClientError:
        """This ending as the last word to the user."""
        retryable = self.move is not Move.STOP if self._retryable is None else self._retryable
        return ClientError(
            self.slug,
            self.message,
            retryable=retryable,
            retry_after=self.retry_after,
            param=self.param,
            close_code=self.code,
        )

    def told_to_wait(self, seconds: float | None) -> None:
        """A `session.goaway` came before: where the end itself says no time, that one holds."""
        if self.retry_after is None and self.move is not Move.STOP:
            self.retry_after = seconds

    def final(self) -> "Ending":
        """The same, for a client that could only come back with what was refused."""
        self._final = True
        return self


class _Refusal(msgspec.Struct):
    error: ErrorBody


_refusal = msgspec.json.Decoder(_Refusal)
