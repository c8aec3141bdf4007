"""The AsyncAPI document against the code: messages, the frame, close codes and examples, and against a real session.

Invariant under test: what the document says is so, and what is so is said; its own parser takes it.
It must not repeat what the document says.
"""

import asyncio
import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gateway import __version__
from gateway.client.ending import Ending, Move
from gateway.config.schema import Upstream
from gateway.errors import HANDLING
from gateway.model import Flag, Kind, Mode
from gateway.protocol import events, frames, messages
from gateway.relay.listener import OnLag
from gateway.server.attachment import FRAMINGS
from tests.house.tree import ROOT
from tests.support.gateway import KEY, PATIENCE, Bench, bench, say
from tests.support.specifications import differences, mistakes, read, validator

ASYNCAPI = read("asyncapi.yaml")
OPENAPI = read("openapi.yaml")
SCHEMAS = ASYNCAPI["components"]["schemas"]
MESSAGES = ASYNCAPI["components"]["messages"]
CLOSES = ASYNCAPI["channels"]["session"]["x-close-codes"]
SESSION = ASYNCAPI["channels"]["session"]
# Not JSON.
BINARY = {"frame", "payload"}
# What no code of ours stands for: by the WebSocket protocol itself, by a node that goes away, by one that knows others.
WITHOUT_A_CODE = {1001, 1002, 1007, 4200}
# What a session on a whole song does not come to.
SELDOM = {"stream.gap"}


def _structs(module: Any) -> dict[str, type[msgspec.Struct]]:
    """The messages of a module by their type."""
    found = {
        one.__struct_config__.tag: one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, msgspec.Struct) and one.__struct_config__.tag is not None
    }
    return {str(tag): one for tag, one in found.items()}


def _said_by(operation: str) -> set[str]:
    return {one["$ref"].rpartition("/")[2] for one in ASYNCAPI["operations"][operation]["messages"]}


@pytest.mark.timeout(120)
def test_its_own_parser_takes_it(need: Callable[[str], str], tmp_path: Path) -> None:
    """The document is AsyncAPI 3, and of the version that is running; one without a message of its own is refused."""
    document, broken = ROOT / "gateway/spec/asyncapi.yaml", tmp_path / "asyncapi.yaml"
    broken.write_text(document.read_text().replace("    pong:\n", "    gnop:\n", 1))
    script = ROOT / "tests/contract/asyncapi.mjs"
    command = [need("node"), script, need("npm:@asyncapi/parser"), document, broken]
    said = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    taken, refused = map(json.loads, said.stdout.splitlines())
    assert taken == []
    assert any("pong" in sentence for sentence in refused)
    assert ASYNCAPI["asyncapi"].startswith("3.")
    assert ASYNCAPI["info"]["version"] == __version__


def test_its_messages_are_the_structs() -> None:
    """Both ways: every struct is written, and every message is a struct."""
    client, gateway = _structs(messages), _structs(events)
    assert _said_by("say") == set(client)
    assert _said_by("hear") == set(gateway) | BINARY
    assert set(SESSION["messages"]) == set(MESSAGES) == _said_by("say") | _said_by("hear")
    found = [one for name, kind in client.items() for one in _differences(name, kind, sent=False)]
    found += [one for name, kind in gateway.items() for one in _differences(name, kind, sent=True)]
    assert found == []


def _differences(name: str, kind: type[msgspec.Struct], *, sent: bool) -> list[str]:
    return differences(ASYNCAPI, MESSAGES[name]["payload"], kind, sent=sent)


def test_its_schemas_are_the_structs() -> None:
    """Those that have a name of their own; those of both documents are the same in both."""
    found = [
        *differences(ASYNCAPI, SCHEMAS["FormatSpec"], messages.FormatSpec, sent=False),
        *differences(ASYNCAPI, SCHEMAS["Since"], messages.Since, sent=False),
        *differences(ASYNCAPI, SCHEMAS["FormatInfo"], events.FormatInfo, sent=True),
        *differences(ASYNCAPI, SCHEMAS["QuotaBudget"], events.QuotaBudget, sent=True),
    ]
    assert found == []
    assert SCHEMAS["ErrorCode"]["enum"] == list(HANDLING)
    both = set(SCHEMAS) & set(OPENAPI["components"]["schemas"]) - {"ErrorCode"}
    assert {"StreamInfo", "InputSpec", "ErrorBody"} <= both
    assert {name: SCHEMAS[name] for name in both} == {name: OPENAPI["components"]["schemas"][name] for name in both}


def test_its_words_are_those_of_the_code() -> None:
    """Enumerations of the messages."""
    assert SCHEMAS["Framing"]["enum"] == list(FRAMINGS)
    assert SCHEMAS["OnLag"]["enum"] == list(OnLag)
    order = MESSAGES["stream.create"]["payload"]["properties"]
    assert order["mode"]["enum"] == list(Mode)
    body = OPENAPI["components"]["schemas"]["CreateBody"]["properties"]
    assert order["abandon"]["pattern"] == body["abandon"]["pattern"]
    assert MESSAGES["audio.delta"]["payload"]["properties"]["kind"]["enum"] == [kind.name.lower() for kind in Kind]
    assert MESSAGES["audio.delta"]["payload"]["properties"]["flags"]["maximum"] == sum(Flag)


def test_its_frame_is_the_header() -> None:
    """Offsets, types and fields of the 24 bytes; the words for kind and flags name each of them."""
    sizes = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
    rows = MESSAGES["frame"]["x-header"]
    assert ">" + "".join(sizes[row["type"]] for row in rows) == frames.HEADER.format
    at = [struct.calcsize(">" + "".join(sizes[row["type"]] for row in rows[:n])) for n in range(len(rows))]
    assert [row["at"] for row in rows] == at
    assert [row["field"] for row in rows if row["field"] not in ("version", "kind", "flags")] == [
        field for field in frames.Header._fields if field not in ("kind", "flags")
    ]
    meanings = {row["field"]: row["meaning"] for row in rows}
    assert meanings["version"] == str(frames.VERSION)
    assert all(f"{kind.value} {kind.name.lower()}" in meanings["kind"] for kind in Kind)
    assert all(f"{flag.value} {str(flag.name).lower().replace('_', ' ')}" in meanings["flags"] for flag in Flag)


def test_its_close_codes_are_the_table_of_errors() -> None:
    """Each code with the error codes that lead to it, and what the Python client does about it."""
    rows = {row["code"]: row["slugs"] for row in CLOSES}
    assert list(rows) == sorted(rows)
    there: dict[int, list[str]] = {code: [] for code in WITHOUT_A_CODE}
    for code, row in HANDLING.items():
        there.setdefault(row.close, []).append(code)
    assert rows == {code: there[code] for code in rows}
    assert set(rows) == set(there)
    moves = {Move.STOP: "stop", Move.AS_TOLD: "as told", Move.BACK_OFF: "back off", Move.AT_ONCE: "reconnect at once"}
    assert {row["code"]: row["client"] for row in CLOSES} == {code: moves[Ending(code).move] for code in rows}


def test_examples_are_as_their_schemas_say_and_are_taken() -> None:
    """Of every JSON message there is one; those of clients go through the decoder of the gateway."""
    found = []
    for name, message in MESSAGES.items():
        examples = [one["payload"] for one in message.get("examples", ())]
        assert bool(examples) is (name not in BINARY), name
        for example in examples:
            found += mistakes(ASYNCAPI, message["payload"], example)
            if name in _said_by("say"):
                taken = messages.decode_client(msgspec.json.encode(example))
                assert taken.__struct_config__.tag == name
    assert found == []


async def test_a_real_session_says_what_is_written() -> None:
    """Every message of sessions that order, wait, hear, resume, leave, cancel, err, and are sent away."""
    heard: list[dict[str, Any]] = []
    async with bench(speed=6.0, upstream=Upstream(max_concurrency=1)) as running, asyncio.timeout(PATIENCE):
        await _converse(running, heard)
    strict = {name: validator(ASYNCAPI, message["payload"]) for name, message in MESSAGES.items()}
    assert [error.message for message in heard for error in strict[message["type"]].iter_errors(message)] == []
    assert {message["type"] for message in heard} == set(_structs(events)) - SELDOM


async def _converse(running: Bench, heard: list[dict[str, Any]]) -> None:
    song = {"prompt": "[[scale seconds=9]] a scale to be heard by a test, from the bottom to the top"}
    protocols = [Subprotocol("wavegate.v1")]
    async with connect(running.ws_url, subprotocols=protocols, compression=None) as socket:

        async def until(kind: str, **facts: Any) -> dict[str, Any]:
            while True:
                data = await socket.recv()
                if isinstance(data, bytes):
                    continue
                heard.append(message := json.loads(data))
                if message["type"] == kind and all(message.get(name) == value for name, value in facts.items()):
                    return message

        await say(socket, type="session.authenticate", key=KEY)
        await until("session.created")
        await say(socket, type="stream.create", ref="one", input=song, framing="json")
        first = (await until("stream.created"))["stream"]["id"]
        await say(socket, type="stream.create", ref=2, input=song, format=["webm"])
        second = (await until("stream.created"))["stream"]["id"]
        await until("stream.queued", stream_id=second)
        await say(socket, type="stream.cancel", stream_id=second)
        await until("stream.failed", stream_id=second)
        started = await until("stream.started", stream_id=first)
        await until("stream.metadata", stream_id=first)
        await until("stream.completed", stream_id=first)
        since = {"epoch": started["epoch"], "seq": 3}
        await say(socket, type="stream.attach", ref=3, stream_id=first, since=since)
        await until("stream.completed", stream_id=first)
        await say(socket, type="stream.attach", ref=4, stream_id=first, format={"codec": "flac"}, framing="raw")
        await say(socket, type="stream.detach", ref=5, stream_id=first)
        await until("stream.detached", ref=5)
        await say(socket, type="stream.attach", ref=6, stream_id="st_0")
        await until("error", ref=6)
        await say(socket, type="ping", t=[1])
        await until("pong", t=[1])
        if not any(message["type"] == "quota.updated" for message in heard):
            await until("quota.updated")
        await running.gateway.drain()
        await until("session.goaway")
