"""Tests of the session's state table: every state with every message.

Invariant under test: the table is the whole truth; what it does not allow is refused with a code and changes nothing;
a session that has not opened before the gateway began to stop never does anything.
"""

import pytest

from gateway.errors import AccessError, RequestError, ServiceError, WavegateError
from gateway.protocol import messages
from gateway.protocol.messages import ClientMessage
from gateway.protocol.session import TRANSITIONS, Session, State

CREATE = messages.StreamCreate(input=messages.InputSpec())
ATTACH = messages.StreamAttach(stream_id="st_1")
DETACH = messages.StreamDetach(stream_id="st_1")
CANCEL = messages.StreamCancel(stream_id="st_1")
PING = messages.Ping()
AUTHENTICATE = messages.Authenticate(key="k")
MESSAGES: list[ClientMessage] = [CREATE, ATTACH, DETACH, CANCEL, PING, AUTHENTICATE]

# What the interface says, written down a second time: the code of the refusal, or None where it is allowed.
EXPECTED: dict[State, list[str | None]] = {
    State.OPENING: [*["missing_credentials"] * 5, None],
    State.OPEN: [None, None, None, None, None, "already_authenticated"],
    State.DRAINING: ["going_away", "going_away", None, None, None, "already_authenticated"],
}
PAIRS = [
    (state, message, code) for state, codes in EXPECTED.items() for message, code in zip(MESSAGES, codes, strict=True)
]


def session_in(state: State) -> Session:
    """A session that has come into this state as sessions do."""
    session = Session(authenticated=state is not State.OPENING)
    if state is State.DRAINING:
        session.drain()
    assert session.state is state
    return session


def refusal(session: Session, message: ClientMessage) -> WavegateError | None:
    """How the message is refused, if it is."""
    try:
        session.accept(message)
    except WavegateError as error:
        return error
    return None


@pytest.mark.parametrize(("state", "message", "code"), PAIRS)
def test_every_pair(state: State, message: ClientMessage, code: str | None) -> None:
    """A pair is allowed and leads on, or is refused with its code and leaves the session where it was."""
    session = session_in(state)
    error = refusal(session, message)
    assert (error.code if error else None) == code
    following = State.OPEN if state is State.OPENING and code is None else state
    assert session.state is following


def test_the_table_has_no_other_rows() -> None:
    """What is allowed here is what stands in the table, row for row."""
    allowed = {(state, type(message)) for state, message, code in PAIRS if code is None}
    assert set(TRANSITIONS) == allowed


def test_every_message_is_tried_here() -> None:
    """A message that is added to the protocol is added to these tests."""
    assert {type(message) for message in MESSAGES} == set(messages.ClientMessage.__args__)


def test_every_state_in_which_something_may_be_said_is_tried_here() -> None:
    """A state that is added to the table is added to these tests."""
    assert {state for state, _ in TRANSITIONS} == set(EXPECTED)


def test_refusals_have_their_kinds() -> None:
    """The caller may not, the caller is wrong, or we cannot now: only the last invites to come back, and says when."""
    opening = refusal(session_in(State.OPENING), PING)
    mistaken = refusal(session_in(State.OPEN), AUTHENTICATE)
    late = refusal(session_in(State.DRAINING), CREATE)
    assert isinstance(opening, AccessError)
    assert isinstance(mistaken, RequestError)
    assert isinstance(late, ServiceError)
    assert late.retry_after == 1.0


@pytest.mark.parametrize("message", MESSAGES)
def test_a_session_that_had_not_opened_never_will(message: ClientMessage) -> None:
    """Who had not said who it is when the gateway began to stop may say nothing, least of all cancel a song."""
    session = Session(authenticated=False)
    session.drain()
    error = refusal(session, message)
    assert error is not None
    assert error.code in ("going_away", "missing_credentials")


@pytest.mark.parametrize("authenticated", [False, True])
def test_draining_twice_is_draining(authenticated: bool) -> None:
    """A second announcement changes nothing."""
    session = Session(authenticated=authenticated)
    session.drain()
    before = session.state
    session.drain()
    assert session.state is before
