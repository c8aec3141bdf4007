"""The OpenAPI document against the code: routes, schemas, error codes, parameters and examples, in both directions.

Invariant under test: what the document says is so, and what is so is said; its own validator takes it.
It must not repeat what the document says.
"""

import ast
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiohttp import web
from openapi_spec_validator import validate

from gateway import __version__
from gateway.accounting import State
from gateway.app import Gateway
from gateway.config.schema import Config, Transcode
from gateway.config.server import Server
from gateway.errors import HANDLING
from gateway.model import Status
from gateway.protocol import events, limits, messages, openai, qwen_tts, speech
from gateway.protocol.families import MODELS
from gateway.relay import wishes
from gateway.server import speech_mapping, tickets
from gateway.server.docs import METHODS, codes, operations, resolved
from gateway.server.listing import StreamPage
from gateway.server.ordering import request_of
from tests.house.tree import ROOT
from tests.support.gateway import Bench, bench
from tests.support.specifications import differences, mistakes, parameters, read
from transcode import spec as codecs
from transcode.formats import FORMATS

OPENAPI = read("openapi.yaml")
SCHEMAS = OPENAPI["components"]["schemas"]
SENT = {
    "ErrorBody": events.ErrorBody,
    "ModelInfo": openai.Model,
    "ModelList": openai.ModelList,
    "StreamInfo": events.StreamInfo,
    "StreamPage": StreamPage,
    "Urls": events.Urls,
    "Usage": events.Usage,
    "UsageGeneration": events.UsageGeneration,
    "UsageReport": events.UsageReport,
    "UsageTotals": events.UsageTotals,
}
READ = {
    "CreateBody": messages.CreateBody,
    "InputSpec": messages.InputSpec,
    "SpeechBody": openai.SpeechBody,
    "TicketBody": messages.TicketBody,
    "VoiceId": openai.VoiceId,
}
DECODERS = {
    "createStream": messages.decode_create,
    "createTicket": messages.decode_ticket,
    "speak": openai.decode_speech,
}


class Opened(Gateway):
    """A gateway that shows its applications: the public one and the internal one."""

    def __init__(self) -> None:
        config = Config(server=Server(port=0, internal_port=0), transcode=Transcode(workers=0))
        super().__init__(config, None, demo=True)
        self.applications: list[web.Application] = []

    async def _runner(self, stack: AsyncExitStack, application: web.Application) -> web.AppRunner:
        self.applications.append(application)
        return await super()._runner(stack, application)


@pytest.fixture
async def running() -> AsyncIterator[Bench]:
    async with bench() as running:
        yield running


def test_its_own_validator_takes_it() -> None:
    """The document is OpenAPI 3.1, and of the version that is running."""
    validate(dict(OPENAPI))
    assert OPENAPI["openapi"].startswith("3.1")
    assert OPENAPI["info"]["version"] == __version__


async def test_it_has_the_routes_of_the_gateway() -> None:
    """Every route is a path and every path a route; of HEAD what the preface says."""
    async with Opened() as gateway:
        public, internal = ({_route(one) for one in app.router.routes()} for app in gateway.applications)
    written = {
        (method.upper(), path, "servers" in OPENAPI["paths"][path]) for path, method, _, _ in operations(OPENAPI)
    }
    there = {(method, path, False) for method, path in public} | {(method, path, True) for method, path in internal}
    there -= {(method, "/docs.html", False) for method in ("GET", "HEAD")}
    heads = {one for one in there if one[0] == "HEAD"}
    assert {one for one in written if one[0] != "HEAD"} == there - heads
    without = {path for method, path, _ in there if method == "GET"} - {path for _, path, _ in heads}
    assert all(f"`{path}`" in OPENAPI["info"]["description"] for path in without)
    assert {one for one in written if one[0] == "HEAD"} <= heads


def _route(route: web.AbstractRoute) -> tuple[str, str]:
    assert route.resource is not None
    return route.method, route.resource.canonical


def test_its_schemas_are_the_structs() -> None:
    """Fields, types, what is required, defaults, and whether unknown fields are refused."""
    found = [one for name, struct in SENT.items() for one in differences(OPENAPI, SCHEMAS[name], struct, sent=True)]
    found += [one for name, struct in READ.items() for one in differences(OPENAPI, SCHEMAS[name], struct, sent=False)]
    assert found == []


def test_a_schema_that_is_not_its_struct_is_named() -> None:
    """Another type, a field too many, another default."""
    schema = {
        "type": "object",
        "properties": {"audio_seconds": {"type": "string"}, "settled": {"type": "boolean"}, "x": {}},
    }
    sentences = differences(OPENAPI, schema, events.Usage, sent=True)
    assert len(sentences) == 3
    assert differences(
        OPENAPI, {**SCHEMAS["TicketBody"], "additionalProperties": True}, messages.TicketBody, sent=False
    )


def test_its_numbers_and_words_are_those_of_the_code() -> None:
    """Enumerations and ranges of the order, the ticket and the parameters."""
    field = SCHEMAS["InputSpec"]["properties"]
    assert SCHEMAS["Model"]["enum"] == list(MODELS)
    assert field["gender"]["enum"] == [*limits.GENDERS, None]
    assert field["format"]["enum"] == [*limits.FORMATS, None]
    assert field["sample_rate"]["enum"] == [*speech.SAMPLE_RATES, None]
    assert field["language_type"]["enum"] == [*qwen_tts.LANGUAGES, None]
    for name, (low, high) in speech.RANGES.items():
        assert (field[name]["minimum"], field[name]["maximum"]) == (low, high)
    ticket = SCHEMAS["TicketBody"]["properties"]
    assert ticket["ttl_seconds"]["maximum"] == tickets.MAX_TTL_SECONDS
    assert ticket["uses"]["maximum"] == tickets.MAX_USES
    assert ticket["max_audio_seconds"]["maximum"] == tickets.MAX_AUDIO_SECONDS
    assert ticket["stream_id"]["maxLength"] == tickets.MAX_STREAM_ID
    assert ticket["allow"]["items"]["enum"] == list(tickets.Permission)
    said = SCHEMAS["SpeechBody"]["properties"]
    assert said["response_format"]["enum"] == list(speech_mapping.FORMATS)
    assert said["stream_format"]["enum"] == list(speech_mapping.STREAM_FORMATS)
    assert (said["speed"]["minimum"], said["speed"]["maximum"]) == speech_mapping.SPEEDS
    assert SCHEMAS["StreamInfo"]["properties"]["status"]["enum"] == list(Status)
    assert SCHEMAS["UsageGeneration"]["properties"]["status"]["enum"] == list(State)
    loudness = OPENAPI["components"]["parameters"]["Loudness"]["schema"]
    assert (loudness["minimum"], loudness["maximum"]) == codecs.LOUDNESS


def test_its_formats_are_the_table_of_formats() -> None:
    """Each format with its codec, media types and rates; other names are names of it."""
    rows = {one["const"]: one for one in SCHEMAS["Format"]["oneOf"]}
    assert list(rows) == [*FORMATS, *wishes._ALSO]
    for name, form in FORMATS.items():
        row, ability = rows[name], codecs._ABILITIES[form.codec]
        assert (row["x-codec"], row["x-mime"], row["x-content-type"]) == (form.codec, form.mime, form.content_type)
        assert row["x-init"] is form.container
        assert row["x-sample-rates"] == (list(ability.rates) or "any")
        low_high = [] if ability.bitrates is None else [str(bits) for bits in ability.bitrates]
        assert all(number in row["x-bitrate"] for number in low_high)
        assert (row["x-bitrate"] is None) is (ability.bitrates is None)
    types = set(OPENAPI["components"]["responses"]["Audio"]["content"])
    assert types == {form.content_type for form in FORMATS.values()}


def test_its_error_codes_are_the_table_of_errors() -> None:
    """Each code with status, close code and whether to retry; each answer's codes have its status."""
    rows = {
        one["const"]: (one["x-status"], one["x-close"], one["x-retryable"]) for one in SCHEMAS["ErrorCode"]["oneOf"]
    }
    assert rows == {code: (row.status, row.close, row.retryable) for code, row in HANDLING.items()}
    for path, method, operation, _ in operations(OPENAPI):
        for status, reference in operation["responses"].items():
            response = resolved(OPENAPI, reference)
            assert all(HANDLING[code].status == int(status) for code in codes(response)), (path, method, status)
            refuses = int(status) >= 400 and method != "head" and path != "/readyz"
            assert bool(codes(response)) is refuses, (path, method, status)


def test_its_query_parameters_are_those_that_doors_read() -> None:
    """No parameter is read that is not written, and none is written that nobody reads."""
    written = {one["name"] for _, _, one in parameters(OPENAPI, "query")}
    assert written == _read_by_doors()


def _read_by_doors() -> set[str]:
    """The names that code under gateway/server asks a query for."""
    names = set()
    for path in (ROOT / "gateway/server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                function, first = node.func, ast.unparse(node.args[0])
                if isinstance(function, ast.Attribute) and function.attr in ("get", "getall"):
                    asked = node.args[0] if ast.unparse(function.value).endswith("query") else None
                else:
                    asked = node.args[1] if first.endswith("query") and len(node.args) > 1 else None
                names |= {asked.value} if isinstance(asked, ast.Constant) and isinstance(asked.value, str) else set()
    return names


async def test_every_query_parameter_is_read_where_it_is_written(running: Bench) -> None:
    """A value that cannot be is refused, at each operation that has the parameter, and the parameter is named."""
    stream = await running.create("A calm piano piece for a rainy evening, with soft strings")
    deaf = []
    for path, method, one in parameters(OPENAPI, "query"):
        # Every word may be the name of a tenant.
        if method != "get" or one["name"] == "tenant":
            continue
        base = running.internal if "servers" in OPENAPI["paths"][path] else running.url
        where = path.replace("{id}", stream["id"]).replace("{ext}", "mp3").replace("{number}", "0")
        async with running.http.get(base + where, params={one["name"]: "?"}) as response:
            body = await response.json() if response.status == 400 else {}
        if body.get("error", {}).get("param") != one["name"]:
            deaf.append((path, one["name"], response.status))
    assert deaf == []


def test_examples_are_as_their_schemas_say() -> None:
    """Of bodies, answers and refusals."""
    found = []
    for _, _, operation, _ in operations(OPENAPI):
        places = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in [one for place in places for one in resolved(OPENAPI, place).get("content", {}).values()]:
            for example in _examples(content):
                found += mistakes(OPENAPI, content["schema"], example)
    assert found == []


def test_examples_of_bodies_are_taken_by_the_decoders() -> None:
    """And the provider's limits hold for the songs in them."""
    for _, _, operation, _ in operations(OPENAPI):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for example in _examples(content):
                body = DECODERS[operation["operationId"]](msgspec.json.encode(example))
                if isinstance(body, messages.CreateBody):
                    request_of(body, limits.V1)


def _examples(content: Any) -> list[Any]:
    named = [resolved(OPENAPI, one)["value"] for one in content.get("examples", {}).values()]
    return [*named, content["example"]] if "example" in content else named


def test_every_operation_says_what_it_is() -> None:
    """A summary, a name of its own, one known tag; and every parameter a sentence."""
    names = [operation["operationId"] for _, _, operation, _ in operations(OPENAPI)]
    assert len(names) == len(set(names))
    tags = {one["name"] for one in OPENAPI["tags"]}
    for _, method, operation, given in operations(OPENAPI):
        assert method in METHODS
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        assert all(one["description"] for one in given)
