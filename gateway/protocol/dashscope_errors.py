"""What the provider says when it refuses or fails, turned into our own errors.

Its HTTP status, its code and its message have to be read together: being full is a 500 there, an unpaid bill a 429.
Invariant: the provider's words are matched and then dropped; every message that leaves here is a sentence of ours.
It must not know how the bytes came: `error_from_body` takes each of the four shapes in which errors are sent.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.errors import UpstreamError
from gateway.protocol.sse import SseDecoder


@dataclass(frozen=True, slots=True)
class _Rule:
    """A row of the table: it applies when any one of its marks is met, by code, by message or by status."""

    code: str
    sentence: str
    codes: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()


_BUSY = "The provider is full at the moment. Try again in a minute."

# The first row that applies decides, so the order carries meaning: bills come before throttling because both are 429.
# Marks in `codes` are found anywhere in the provider's code, compared without case and without . _ - or spaces.
_RULES = (
    _Rule(
        "content_rejected",
        "The provider refuses to sing this: its check objects to something in the text. Change prompt or lyrics.",
        codes=("datainspection", "ipinfringement", "contentfilter"),
        phrases=("content is illegal", "inappropriate content"),
    ),
    _Rule(
        "upstream_refused",
        "The provider's account is not paid up or has no quota for this model. The operator must settle it.",
        codes=("arrearage", "billoverdue", "commoditynotpurchased", "freetieronly", "unpurchased"),
        phrases=("free allocated quota", "overdue-payment", "in good standing"),
    ),
    _Rule(
        "upstream_refused",
        "The provider does not let the gateway's key use this model. The operator must check both.",
        codes=("invalidapikey", "accessdenied", "notauthorized", "unauthorized", "forbidden"),
        phrases=("invalid api-key", "incorrect api key"),
        statuses=(401, 403),
    ),
    _Rule(
        "upstream_busy",
        _BUSY,
        codes=("throttling", "insufficientquota", "limitrequests", "ratelimit", "ratequota", "burstrate"),
        phrases=("batching backend", "too many requests"),
        statuses=(429,),
    ),
    _Rule(
        "upstream_timeout",
        "The provider took too long and gave up. Try again later.",
        codes=("timeout",),
        phrases=("response stream timeout",),
        statuses=(408, 504),
    ),
    _Rule(
        "upstream_unavailable",
        "The provider's model is not available at the moment. Try again later.",
        codes=("modelunavailable",),
        statuses=(503,),
    ),
    _Rule(
        "upstream_refused",
        "The provider does not know this path, model or workspace. The operator must check the upstream settings.",
        codes=("notfound",),
        statuses=(404, 405),
    ),
    _Rule(
        "upstream_refused",
        "The provider answered with a redirect, which is not followed. The operator must check upstream.base_url.",
        statuses=tuple(range(300, 400)),
    ),
    _Rule(
        "upstream_refused",
        "The provider did not accept the request. Check the prompt, the lyrics and the other fields of the input.",
        codes=("invalidparameter", "badrequest", "invalidrequest"),
        statuses=(*range(400, 408), *range(409, 429), *range(430, 500)),
    ),
)


def classify(status: int, code: str, message: str, request_id: str | None) -> UpstreamError:
    """Our error for the provider's. `status` is HTTP's, or the one in the event's comment; 200 when there is none."""
    flat = code.lower().translate({ord(mark): None for mark in "._- "})
    text = message.lower()
    # Allocation throttling with a 400 is about stored voices being used up: waiting does not help.
    if status == 400 and "throttling" in flat:
        flat = "invalidparameter"
    for rule in _RULES:
        if any(mark in flat for mark in rule.codes) or any(phrase in text for phrase in rule.phrases):
            return UpstreamError(rule.code, rule.sentence, request_id=request_id)
    for rule in _RULES:
        if status in rule.statuses:
            return UpstreamError(rule.code, rule.sentence, request_id=request_id)
    return UpstreamError("upstream_failed", "The provider failed to make the song. Try again.", request_id=request_id)


def find_error(status: int, body: bytes) -> UpstreamError | None:
    """The error that a body tells of, if any: flat JSON, events, or `{"error": {...}}`, whatever its content type."""
    if (error := _from_json(status, body)) is not None:
        return error
    decoder = SseDecoder(len(body))
    for event in (*decoder.feed(body), *decoder.flush()):
        if (error := _from_json(event.status or status, event.data)) is not None:
            return error
    return None


def error_from_body(status: int, body: bytes) -> UpstreamError:
    """As `find_error`, and by the status alone when the body tells nothing: a proxy's page, or garbage."""
    return find_error(status, body) or classify(status, "", "", None)


def _from_json(status: int, body: bytes) -> UpstreamError | None:
    # Error documents have several shapes and are rare: plain objects, looked at with suspicion, do here.
    try:
        document: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    inner = document.get("error")
    fields = inner if isinstance(inner, dict) else document
    code = fields.get("code") or (inner and fields.get("type"))
    if not code:
        return None
    request_id = document.get("request_id")
    return classify(
        status, str(code), str(fields.get("message") or ""), request_id if isinstance(request_id, str) else None
    )
