"""A client's session as a state table: what may be said when, and nothing else.

    (state, message)                       -> next state
    OPENING         session.authenticate   -> OPEN            the first message, within the authentication deadline
    OPEN            stream.*, ping         -> OPEN
    DRAINING        detach, cancel, ping   -> DRAINING        the gateway is going away: nothing new begins

Invariant: the table is the whole truth; a pair that is not in it is refused with a code and changes nothing.
It must not know sockets, clocks, or what carrying out a message takes.
"""

from enum import Enum

from gateway.errors import AccessError, RequestError, ServiceError
from gateway.protocol import messages
from gateway.protocol.messages import ClientMessage


class State(Enum):
    OPENING = "opening"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


TRANSITIONS: dict[tuple[State, type], State] = {
    (State.OPENING, messages.Authenticate): State.OPEN,
    (State.OPEN, messages.StreamCreate): State.OPEN,
    (State.OPEN, messages.StreamAttach): State.OPEN,
    (State.OPEN, messages.StreamDetach): State.OPEN,
    (State.OPEN, messages.StreamCancel): State.OPEN,
    (State.OPEN, messages.Ping): State.OPEN,
    (State.DRAINING, messages.StreamDetach): State.DRAINING,
    (State.DRAINING, messages.StreamCancel): State.DRAINING,
    (State.DRAINING, messages.Ping): State.DRAINING,
}


class Session:
    """Where one connection stands in the conversation."""

    __slots__ = ("state",)

    def __init__(self, *, authenticated: bool) -> None:
        self.state = State.OPEN if authenticated else State.OPENING

    def accept(self, message: ClientMessage) -> None:
        """Takes the step, or raises a WavegateError and stays where it was."""
        following = TRANSITIONS.get((self.state, type(message)))
        if following is None:
            raise self._refusal(message)
        self.state = following

    def drain(self) -> None:
        """The gateway is going away; a session that has not opened yet never will."""
        self.state = State.DRAINING if self.state in (State.OPEN, State.DRAINING) else State.CLOSED

    def _refusal(self, message: ClientMessage) -> RequestError | AccessError | ServiceError:
        if self.state is State.OPENING:
            return AccessError("missing_credentials", "Say who you are first: send session.authenticate.")
        if isinstance(message, messages.Authenticate) and self.state is not State.CLOSED:
            return RequestError("already_authenticated", "This session is authenticated already.")
        return ServiceError("going_away", "This gateway is stopping: reconnect and ask again.", retry_after=1.0)
