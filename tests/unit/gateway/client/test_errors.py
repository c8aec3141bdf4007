"""The client's one exception, made from the gateway's error object.

Invariant under test: nothing the gateway said is lost or made up on the way.
It knows no connection: the objects are built by hand.
"""

from gateway.client.errors import ClientError
from gateway.protocol.events import ErrorBody


def test_an_error_object_becomes_the_exception_with_seconds() -> None:
    """Nothing of the gateway's error object is lost, and its milliseconds become seconds."""
    error = ClientError.of(ErrorBody("quota_exceeded", "No more today.", True, 1200, "input.prompt"))
    assert (error.code, error.message, str(error)) == ("quota_exceeded", "No more today.", "No more today.")
    assert (error.retryable, error.retry_after, error.param) == (True, 1.2, "input.prompt")


def test_no_waiting_time_stays_none() -> None:
    """An error object without a time does not become a time of 0."""
    assert ClientError.of(ErrorBody("forbidden", "No.", False)).retry_after is None
