"""The provider's errors by status, code and message together, in each shape in which they are sent.

The rows are the errors that the provider documents or that others have met; the provider's words are given as they
are written, because some meanings stand in the message alone.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.protocol.dashscope_errors import classify, error_from_body, find_error

FLAT = b'{"code":"InvalidApiKey","message":"Invalid API-key provided.","request_id":"r1"}'


@pytest.mark.parametrize(
    ("status", "code", "message", "ours"),
    [
        (400, "InvalidParameter", "At least one of 'lyrics' or 'prompt' must be provided.", "upstream_refused"),
        (400, "InvalidParameter", "Lyrics content is illegal and cannot be used for music.", "content_rejected"),
        (400, "DataInspectionFailed", "Input data may contain inappropriate content.", "content_rejected"),
        (400, "data_inspection_failed", "m", "content_rejected"),
        (400, "IPInfringementSuspect", "m", "content_rejected"),
        (200, "DataInspectionFailed", "", "content_rejected"),
        (500, "InternalError.Algo", "[music]Receive batching backend response failed!", "upstream_busy"),
        (500, "InternalError.Algo", "Something else.", "upstream_failed"),
        (500, "ResponseTimeout", "Response stream timeout", "upstream_timeout"),
        (500, "RequestTimeOut", "Request timed out", "upstream_timeout"),
        (500, "InternalError.Timeout", "m", "upstream_timeout"),
        (504, "", "", "upstream_timeout"),
        (408, "", "", "upstream_timeout"),
        (429, "Throttling", "m", "upstream_busy"),
        (429, "Throttling.RateQuota", "m", "upstream_busy"),
        (429, "Throttling.BurstRate", "m", "upstream_busy"),
        (429, "Throttling.AllocationQuota", "m", "upstream_busy"),
        (200, "Throttling.AllocationQuota", "m", "upstream_busy"),
        (400, "Throttling.AllocationQuota", "m", "upstream_refused"),
        (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", "upstream_refused"),
        (429, "LimitRequests", "m", "upstream_busy"),
        (429, "insufficient_quota", "m", "upstream_busy"),
        (429, "", "", "upstream_busy"),
        (503, "ModelServingError", "Too many requests. Your requests are being throttled.", "upstream_busy"),
        (429, "CommodityNotPurchased", "m", "upstream_refused"),
        (429, "PrepaidBillOverdue", "m", "upstream_refused"),
        (429, "PostpaidBillOverdue", "m", "upstream_refused"),
        (400, "Arrearage", "Access denied, make sure your account is in good standing.", "upstream_refused"),
        (403, "AllocationQuota.FreeTierOnly", "m", "upstream_refused"),
        (401, "InvalidApiKey", "Invalid API-key provided.", "upstream_refused"),
        (401, "NOT AUTHORIZED", "m", "upstream_refused"),
        (403, "AccessDenied.Unpurchased", "m", "upstream_refused"),
        (403, "Model.AccessDenied", "m", "upstream_refused"),
        (403, "", "", "upstream_refused"),
        (404, "ModelNotFound", "m", "upstream_refused"),
        (404, "NotFound", "Request path not found.", "upstream_refused"),
        (302, "", "", "upstream_refused"),
        (400, "BadRequest.EmptyInput", "m", "upstream_refused"),
        (415, "", "", "upstream_refused"),
        (500, "InternalError", "m", "upstream_failed"),
        (500, "SystemError", "m", "upstream_failed"),
        (502, "", "", "upstream_failed"),
        (503, "ModelUnavailable", "m", "upstream_unavailable"),
        (503, "", "", "upstream_unavailable"),
        (200, "SomethingNew", "m", "upstream_failed"),
        (204, "", "", "upstream_failed"),
    ],
)
def test_each_known_error_has_its_code(status: int, code: str, message: str, ours: str) -> None:
    """Being full may be tried again, money, keys and content may not, whatever the HTTP status says."""
    error = classify(status, code, message, "r1")
    assert (error.code, error.request_id) == (ours, "r1")


def test_money_keys_and_paths_are_told_apart_in_words() -> None:
    """The operator reads from the sentence what there is to mend, although the code is the same."""
    assert "paid" in classify(429, "PrepaidBillOverdue", "", None).message
    assert "key" in classify(401, "InvalidApiKey", "", None).message
    assert "path" in classify(404, "NotFound", "", None).message
    assert "redirect" in classify(301, "", "", None).message
    assert "input" in classify(400, "InvalidParameter", "", None).message


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (FLAT, "r1"),
        (b"id:1\nevent:error\n:HTTP_STATUS/401\ndata:" + FLAT + b"\n\n", "r1"),
        (b"id:1\nevent:result\ndata:{}\n\nevent:error\ndata:" + FLAT, "r1"),
        (b'{"error":{"code":"InvalidApiKey","message":"m","type":"t"}}', None),
        (b'{"error":{"type":"invalid_api_key","message":"m"},"request_id":7}', None),
    ],
)
def test_the_error_is_found_in_each_shape(body: bytes, request_id: str | None) -> None:
    """Flat JSON, events and an `error` object are the same error, and are found under status 200, too."""
    error = find_error(200, body)
    assert error is not None
    assert (error.code, error.request_id) == ("upstream_refused", request_id)
    assert "key" in error.message
    assert error_from_body(400, body).code == "upstream_refused"


def test_the_status_of_the_event_counts_before_that_of_the_answer() -> None:
    """An event's own status decides where its code is unknown."""
    body = b'event:error\n:HTTP_STATUS/429\ndata:{"code":"New","message":"m"}\n\n'
    assert error_from_body(200, body).code == "upstream_busy"
    assert error_from_body(200, body.replace(b":HTTP_STATUS/429\n", b"")).code == "upstream_failed"


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[1]", b'"x"', b"{}", b'{"error":"x"}', b"\xff\xfe", b"[" * 100_000]
)
def test_garbage_is_judged_by_the_status_alone(body: bytes) -> None:
    """A body without an error in it finds none, and leaves the decision to the status."""
    assert find_error(502, body) is None
    assert error_from_body(502, body).code == "upstream_failed"
    assert error_from_body(429, body).code == "upstream_busy"


CODES = ("DataInspection", "Arrearage", "AccessDenied", "Throttling", "Timeout", "ModelUnavailable", "NotFound", "New")
OURS = {classify(status, code, "", None).message for status in range(100, 600) for code in CODES}


@given(st.integers(100, 599), st.sampled_from(CODES) | st.text(max_size=30), st.text(max_size=30))
def test_the_provider_s_words_never_come_through(status: int, code: str, message: str) -> None:
    """Any status, code and message give one of a fixed set of sentences of ours."""
    error = classify(status, code, message, None)
    assert isinstance(error, UpstreamError)
    assert error.message in OURS
