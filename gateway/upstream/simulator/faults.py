"""The faults, one row each: what can go wrong with one answer of the provider, by the name that a scenario gives it.

Invariant: a row says everything about its fault but the moment; whoever answers looks here for what it has to do.
The codes and statuses are the provider's, as documented. It must not know HTTP connections or sound.
"""

import re
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the provider says instead of a song, or in the middle of one."""

    status: int
    code: str
    message: str


class Spoil(Protocol):
    """What makes a document bad."""

    def __call__(self, document: bytes, *, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """A row. `takes` names the options that mean something to it.

    At most one of the two is there: a refusal ends the answer; `spoil` makes a bad document of a good one, where `size`
    is the option of that name, and the answer goes on. The other faults are known by name to whoever carries them out.
    """

    does: str
    takes: frozenset[str]
    refusal: Refusal | None = None
    spoil: Spoil | None = None


NOT_FOUND = Refusal(404, "NotFound", "Request path not found.")
UNMADE = Refusal(500, "InternalError.Algo", "The song could not be made.")

_WHENEVER = frozenset({"times", "id"})
_AT_A_POINT = _WHENEVER | {"after"}
_REFUSING = _AT_A_POINT | {"status", "code", "message", "shape", "retry_after"}

_AUDIO = re.compile(rb'"data":\s*"[^"]*"')
_FIELD = re.compile(rb'"request_id":')


def _refuses(status: int, code: str, message: str, does: str) -> Fault:
    return Fault(f"{status} {code}: {does}", _REFUSING, refusal=Refusal(status, code, message))


def _bad_base64(document: bytes, *, size: int) -> bytes:
    return _AUDIO.sub(rb'"data":"@@not*base64@@"', document, count=1)


def _bad_json(document: bytes, *, size: int) -> bytes:
    return _FIELD.sub(rb'"request_id"', document, count=1)


def _oversized(document: bytes, *, size: int) -> bytes:
    return document[:-1].ljust(size - 1) + document[-1:]


FAULTS: dict[str, Fault] = {
    "throttle": _refuses(
        429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.", "too many requests"
    ),
    "burst": _refuses(429, "Throttling.BurstRate", "Request rate increased too quickly.", "a ramp that is too steep"),
    "allocation": _refuses(
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
        "no quota left",
    ),
    "busy": _refuses(
        500, "InternalError.Algo", "[music]Receive batching backend response failed!", "too many songs at once"
    ),
    "timeout": _refuses(500, "ResponseTimeout", "Response stream timeout", "the provider took too long"),
    "unavailable": _refuses(
        503, "ModelUnavailable", "Model is unavailable, please try again later.", "the model is away"
    ),
    "error": _refuses(500, "InternalError", "An internal error occurred, please try again later.", "any other error"),
    "overdue": _refuses(429, "PrepaidBillOverdue", "The prepaid bill is overdue.", "an unpaid bill, which is a 429"),
    "arrears": _refuses(
        400, "Arrearage", "Access denied, please make sure your account is in good standing.", "an account in arrears"
    ),
    "bad_key": _refuses(401, "InvalidApiKey", "Invalid API-key provided.", "the key is wrong"),
    "denied": _refuses(403, "AccessDenied", "Access denied.", "the key may not use the model"),
    "moderation": _refuses(
        400,
        "InvalidParameter",
        "Lyrics content is illegal and cannot be used for music generation.",
        "the words are objected to",
    ),
    "inspection": _refuses(
        400, "DataInspectionFailed", "Input data may contain inappropriate content.", "the words are objected to"
    ),
    "not_found": Fault("404 NotFound: a path that does not exist", _REFUSING, refusal=NOT_FOUND),
    "stall": Fault("silence, and then the song goes on", _AT_A_POINT | {"silence", "heartbeat"}),
    "cut": Fault("the answer breaks off", _AT_A_POINT | {"how", "torn"}),
    "bad_base64": Fault("audio that is not base64, and the song goes on", _AT_A_POINT, spoil=_bad_base64),
    "bad_json": Fault("a document that is not JSON, and the song goes on", _AT_A_POINT, spoil=_bad_json),
    "oversized": Fault(
        "a document filled up with spaces to `size` bytes, and the song goes on",
        _AT_A_POINT | {"size"},
        spoil=_oversized,
    ),
    "garbage": Fault("`size` random bytes in the audio, and the song goes on", _AT_A_POINT | {"size"}),
    "noise": Fault("random bytes instead of the song, as many as it has", _WHENEVER),
    "empty": Fault("the last event comes without any audio before it, and is billed", _WHENEVER),
}
