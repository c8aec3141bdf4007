"""Close codes, refusals and error messages as one table of moves.

Invariant under test: the client moves as the contract says, whichever way a code comes in. The table of the gateway's
own errors is the other side of the comparison, so that a new code there is a case here.
"""

import json

import pytest

from gateway.client.ending import ABNORMAL, Ending, Move
from gateway.errors import HANDLING, WavegateError
from gateway.protocol.events import ErrorBody

TERMINAL = [4001, 4003, 4004, 4005, 4008, 4010, 1000, 1002, 1003, 1007, 1008, 1009, 1010]
LATER = [4100, 4101, 4102, 4103, 4104, 1013, 1011, ABNORMAL, 4300, 3000]


@pytest.mark.parametrize("code", TERMINAL)
def test_terminal_codes_stop(code: int) -> None:
    """After these there is nothing to come back for, and the error says so."""
    ending = Ending.of_close(code, "")
    assert ending.move is Move.STOP
    assert not ending.error().retryable


@pytest.mark.parametrize("code", LATER)
def test_busy_codes_back_off(code: int) -> None:
    """After these, and after codes nobody knows, a client comes back later."""
    assert Ending.of_close(code, "").move is Move.BACK_OFF


@pytest.mark.parametrize(("code", "move"), [(1001, Move.AS_TOLD), (1012, Move.AS_TOLD), (4200, Move.AT_ONCE)])
def test_going_away_and_moving(code: int, move: Move) -> None:
    """A gateway that goes away says when to come back; a stream that moved is followed at once."""
    assert Ending.of_close(code, "").move is move
    assert Ending.of_close(4203, "position_lost").move is Move.AT_ONCE


def test_every_code_of_the_gateway_has_words() -> None:
    """No close code the gateway can send is met with a sentence that only repeats the number."""
    for handling in HANDLING.values():
        assert str(handling.close) not in Ending(handling.close).message


@pytest.mark.parametrize(
    ("reason", "slug", "after"),
    [
        ("", "rate_exceeded", None),
        ("too_fast", "too_fast", None),
        ("too_fast;retry_after_ms=1500", "too_fast", 1.5),
        ("too_fast;retry_after_ms=soon", "too_fast", None),
        ("too_fast;something=1500", "too_fast", None),
        (";retry_after_ms=20", "rate_exceeded", 0.02),
    ],
)
def test_the_reason_is_a_slug_and_a_time(reason: str, slug: str, after: float | None) -> None:
    """The reason of a close frame is read in all its forms, and a strange one does no harm."""
    ending = Ending.of_close(4101, reason)
    assert (ending.slug, ending.retry_after) == (slug, after)


@pytest.mark.parametrize("code", sorted(HANDLING))
def test_an_error_message_moves_like_its_close_code(code: str) -> None:
    """The error object of a code and the close frame of that code have a client do the same."""
    ending = Ending.of_body(ErrorBody.of(WavegateError(code, "Sentence.")))
    assert ending.code == HANDLING[code].close
    if HANDLING[code].retryable:
        assert ending.move is Ending(HANDLING[code].close).move
    else:
        assert ending.move in (Move.STOP, Move.AT_ONCE)
    assert ending.error().retryable is HANDLING[code].retryable


@pytest.mark.parametrize(("retryable", "move"), [(True, Move.BACK_OFF), (False, Move.STOP)])
def test_an_unknown_error_is_taken_at_its_word(retryable: bool, move: Move) -> None:
    """A code of a newer gateway is retried exactly if it says that it may be."""
    ending = Ending.of_body(ErrorBody("from_the_future", "What?", retryable, 700))
    assert (ending.move, ending.slug, ending.retry_after) == (move, "from_the_future", 0.7)


def test_a_refusal_of_the_gateway_carries_its_error() -> None:
    """The error object of an HTTP refusal is what the client raises."""
    body = {"error": {"code": "bad_credentials", "message": "This key is not known here.", "retryable": False}}
    ending = Ending.of_refusal("ws://x", 401, json.dumps(body).encode(), None)
    assert ending.move is Move.STOP
    assert ending.error().code == "bad_credentials"
    assert ending.error().message == "This key is not known here."


@pytest.mark.parametrize(("status", "move"), [(502, Move.BACK_OFF), (404, Move.STOP), (429, Move.BACK_OFF)])
@pytest.mark.parametrize("body", [b"<html>", b"", b'{"error": "no"}', b"\xff"])
def test_a_refusal_of_somebody_else_is_judged_by_its_status(status: int, move: Move, body: bytes) -> None:
    """A proxy's page is no error object: its status decides, and the sentence names it."""
    ending = Ending.of_refusal("ws://x", status, body, "3")
    assert (ending.move, ending.slug, ending.retry_after) == (move, "refused", 3.0)
    assert str(status) in ending.message


@pytest.mark.parametrize("header", [None, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_is_ignored(header: str | None) -> None:
    """The date form of Retry-After is not followed, and does not break anything."""
    assert Ending.of_refusal("ws://x", 503, b"", header).retry_after is None
