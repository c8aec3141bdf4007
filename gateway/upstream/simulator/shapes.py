"""The forms in which things are said: a refusal in each of the provider's shapes, a last word without parts of it.

Invariant: everything here is a whole answer or a whole document; nothing is sent and nothing breaks off.
It must not know sound, time or connections.
"""

import base64

import msgspec
from aiohttp import web

from gateway.protocol.dashscope import error_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.simulator.faults import Refusal
from gateway.upstream.simulator.scenario import Scenario


def refusal(said: Refusal, request_id: str, shape: str | None = None, retry_after: int | None = None) -> web.Response:
    """An answer that is a refusal. A shape that belongs into a stream is a document in a 200 here."""
    payload = error_payload(code=said.code, message=said.message, request_id=request_id)
    headers = {"X-Request-Id": request_id}
    status = said.status
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if shape == "framed":
        payload = encode_event(1, "error", status, payload)
    elif shape == "openai":
        # This one comes from a place that gives requests no name.
        del headers["X-Request-Id"]
        error = {"code": said.code, "message": said.message, "type": "invalid_request_error"}
        payload = msgspec.json.encode({"error": error})
    elif shape in ("event", "result"):
        status = 200
    return web.Response(status=status, body=payload, content_type="application/json", headers=headers)


def last_word(payload: bytes, scenario: Scenario, audio: bytes = b"") -> bytes:
    """A stop document as the scenario wants it, with `audio` on it."""
    document = msgspec.json.decode(payload)
    output = document["output"]
    output["audio"]["data"] = base64.b64encode(audio).decode()
    if not scenario.url:
        del output["audio"]["url"]
    if not scenario.usage:
        del document["usage"]
    extra = output.get("extra_info")
    if extra is None:
        pass
    elif scenario.rate == "none":
        del extra["sample_rate"]
    elif scenario.rate is not None:
        extra["sample_rate"] = str(extra["sample_rate"]) if scenario.rate == "string" else int(extra["sample_rate"])
    return msgspec.json.encode(document)
