"""Tests of the heads of answers with audio and of refusals.

Invariant under test: whatever stands in a value, the head has the lines it was given and no others.
It must not know who is answered.
"""

from gateway.errors import AccessError, RequestError, ServiceError
from gateway.server.heads import head, headers_of, refusal_headers
from transcode.formats import FORMATS, PCM, StreamFormat


def test_every_format_says_what_it_is_and_that_nobody_may_hold_it_back() -> None:
    """Raw samples say their rate and channels, as soon as those are known."""
    for form in FORMATS.values():
        said = headers_of(form, None)
        assert said["Content-Type"] == form.content_type
        assert said["Cache-Control"] == "no-store, no-transform"
        assert (said["X-Accel-Buffering"], said["X-Content-Type-Options"]) == ("no", "nosniff")
    assert headers_of(PCM, StreamFormat(PCM, 24000, 1, None))["Content-Type"] == "audio/L16;rate=24000;channels=1"


def test_no_value_ends_its_line() -> None:
    """Nor the head; what is no ASCII goes out as UTF-8, and what is no text at all as a question mark."""
    data = head(206, {"icy-name": "a\r\nSet-Cookie: x\r\n\r\n<b>\x00夜\ud800", "ETag": '"1"'})
    status, *lines = data.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert status == "HTTP/1.1 206 Partial Content"
    assert lines[0].startswith("Date: ")
    assert lines[0].endswith(" GMT")
    assert lines[1:] == ["icy-name: a  Set-Cookie: x    <b> 夜?", 'ETag: "1"', "Connection: close"]


def test_a_refusal_says_whether_to_ask_again_and_when() -> None:
    """Whoever may, and knows when, is told the time in whole seconds; the others are told not to."""
    assert refusal_headers(ServiceError("overloaded", "Full.", retry_after=1.2)) == {"Retry-After": "2"}
    assert refusal_headers(ServiceError("overloaded", "Full.")) == {}
    assert refusal_headers(RequestError("invalid_request", "No.")) == {"X-Should-Retry": "false"}
    assert refusal_headers(AccessError("bad_credentials", "Who?"))["WWW-Authenticate"] == "Bearer"
