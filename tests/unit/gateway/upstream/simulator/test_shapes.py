"""The shapes of a refusal and of the last word, as bytes on the wire.

Invariant tested: every refusal can be had in every shape, as the provider frames it.
It must not know how the gateway reads them.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.upstream.simulator.faults import FAULTS
from gateway.upstream.simulator.scenario import Scenario
from gateway.upstream.simulator.shapes import last_word
from tests.support.wire import stop_payload

Ask = Callable[..., Awaitable[Any]]

REFUSALS = {name: fault.refusal for name, fault in FAULTS.items() if fault.refusal is not None}
STOP = stop_payload(
    request_id="r", expires_at=1, url="http://h/a", channels=2, sample_rate="48000", lyrics="la", duration=7
)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", REFUSALS)
async def test_each_refusal_is_a_flat_document(ask: Ask, name: str, stream: bool) -> None:
    """With its HTTP status, code and message, in either mode, when nothing else is said."""
    said = REFUSALS[name]
    answer = await ask(f"scale {name}", stream=stream)
    assert answer.status == said.status
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "Retry-After" not in answer.headers
    assert answer.document == {
        "code": said.code,
        "message": said.message,
        "request_id": answer.headers["X-Request-Id"],
    }


async def test_every_part_of_a_refusal_can_be_chosen(ask: Ask) -> None:
    """Status, code, message and the time after which to come back."""
    answer = await ask("error status=503 code=Some.Code message='come back' retry_after=7")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert (answer.document["code"], answer.document["message"]) == ("Some.Code", "come back")


async def test_an_event_in_a_stream(ask: Ask) -> None:
    """A 200 whose first event is an error, with the status in a comment."""
    answer = await ask("throttle shape=event")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.raw.startswith(b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling.RateQuota"')
    assert answer.raw.endswith(b"\n\n")
    assert answer.raw.count(b"data:") == 1


async def test_an_error_in_an_ordinary_event(ask: Ask) -> None:
    """A 200 whose only event is a result that holds a code."""
    answer = await ask("throttle shape=result")
    assert answer.status == 200
    assert answer.raw.startswith(b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"code":"Throttling.RateQuota"')


async def test_an_event_that_calls_itself_json(ask: Ask) -> None:
    """An HTTP status, and a body framed as an event under application/json."""
    answer = await ask("inspection shape=framed")
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.raw.startswith(b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"DataInspectionFailed"')


async def test_as_openai_writes_it(ask: Ask) -> None:
    """An error object inside, and no name for the request anywhere."""
    answer = await ask("not_found shape=openai")
    assert answer.status == 404
    assert "X-Request-Id" not in answer.headers
    assert answer.document == {
        "error": {"code": "NotFound", "message": "Request path not found.", "type": "invalid_request_error"}
    }


@pytest.mark.parametrize("shape", ["event", "result"])
async def test_in_a_document_an_event_is_a_200(ask: Ask, shape: str) -> None:
    """A call that does not stream gets the document without an HTTP status of its own."""
    answer = await ask(f"busy shape={shape}", stream=False)
    assert (answer.status, answer.document["code"]) == (200, "InternalError.Algo")


def test_a_last_word_is_as_it_was() -> None:
    """Without any wish it says the same."""
    assert json.loads(last_word(STOP, Scenario())) == json.loads(STOP)


@pytest.mark.parametrize(
    ("scenario", "path", "value"),
    [
        (Scenario(url=False), ("output", "audio", "url"), None),
        (Scenario(usage=False), ("usage",), None),
        (Scenario(rate="none"), ("output", "extra_info", "sample_rate"), None),
        (Scenario(rate="number"), ("output", "extra_info", "sample_rate"), 48000),
        (Scenario(rate="string"), ("output", "extra_info", "sample_rate"), "48000"),
    ],
)
def test_a_last_word_without_a_part(scenario: Scenario, path: tuple[str, ...], value: object) -> None:
    """What is not wanted is not there, the rate is of the type that was wanted, and all else is as it was."""
    said, usual = json.loads(last_word(STOP, scenario)), json.loads(STOP)
    inner, other = said, usual
    for key in path[:-1]:
        inner, other = inner[key], other[key]
    assert inner.pop(path[-1], None) == value
    other.pop(path[-1])
    assert said == usual


def test_audio_on_the_last_word() -> None:
    """It is base64, as everywhere."""
    assert json.loads(last_word(STOP, Scenario(), b"audio"))["output"]["audio"]["data"] == "YXVkaW8="
