"""The faults.

Invariant tested: the gateway takes each refusal for what it means, and what spoils a document does nothing else.
It must not know sockets.
"""

import json

import pytest

from gateway.protocol.dashscope import delta_payload
from gateway.protocol.dashscope_errors import classify
from gateway.upstream.simulator.faults import FAULTS, NOT_FOUND, UNMADE
from gateway.upstream.simulator.options import OPTIONS

MEANINGS = {
    "throttle": "upstream_busy",
    "burst": "upstream_busy",
    "allocation": "upstream_busy",
    "busy": "upstream_busy",
    "timeout": "upstream_timeout",
    "unavailable": "upstream_unavailable",
    "error": "upstream_failed",
    "overdue": "upstream_refused",
    "arrears": "upstream_refused",
    "bad_key": "upstream_refused",
    "denied": "upstream_refused",
    "moderation": "content_rejected",
    "inspection": "content_rejected",
    "not_found": "upstream_refused",
}
DOCUMENT = delta_payload(request_id="r", expires_at=1, data=b"audio")


def test_every_refusal_is_understood() -> None:
    """The gateway makes of each what it is meant to be, and the song that cannot be made is the provider's failure."""
    refusals = {name: fault.refusal for name, fault in FAULTS.items() if fault.refusal is not None}
    found = {name: classify(said.status, said.code, said.message, None).code for name, said in refusals.items()}
    assert found == MEANINGS
    assert classify(UNMADE.status, UNMADE.code, UNMADE.message, None).code == "upstream_failed"
    assert refusals["not_found"] == NOT_FOUND


def test_rows_are_whole() -> None:
    """Each says what it does, takes known options only, and is either said or done."""
    for fault in FAULTS.values():
        assert fault.does
        assert fault.takes <= set(OPTIONS)
        assert fault.takes >= {"times", "id"}
        assert fault.refusal is None or fault.spoil is None


@pytest.mark.parametrize("spaced", [False, True])
def test_bad_base64_spoils_the_audio_alone(spaced: bool) -> None:
    """The document is still JSON, and all of it but the audio is as it was."""
    document = json.dumps(json.loads(DOCUMENT), indent=1).encode() if spaced else DOCUMENT
    spoil = FAULTS["bad_base64"].spoil
    assert spoil is not None
    good, bad = json.loads(document), json.loads(spoil(document, size=1))
    assert good["output"]["audio"].pop("data") == "YXVkaW8="
    assert set(bad["output"]["audio"].pop("data")) & set("@*")
    assert good == bad


def test_bad_json_is_not_json() -> None:
    """It looks like the document and cannot be read."""
    spoil = FAULTS["bad_json"].spoil
    assert spoil is not None
    with pytest.raises(ValueError):
        json.loads(spoil(DOCUMENT, size=1))


@pytest.mark.parametrize("size", [1, 5000])
def test_an_oversized_document_says_the_same(size: int) -> None:
    """It has so many bytes, or its own if it has more, and is the same document."""
    spoil = FAULTS["oversized"].spoil
    assert spoil is not None
    big = spoil(DOCUMENT, size=size)
    assert len(big) == max(size, len(DOCUMENT))
    assert json.loads(big) == json.loads(DOCUMENT)
