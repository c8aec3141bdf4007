"""The doors against what their specification says, asked by a program that knows nothing but the specification.

Invariant under test: whatever the document allows, and what it does not, gets an answer that the document has: status,
media type, headers and body; and none is a fault of the gateway. The same seed asks the same.
"""

import json
import re
import sys
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import Path

import pytest

from gateway.config.schema import Limits
from gateway.server.docs import operations
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import KEY, Bench, bench
from tests.support.specifications import read

Start = Callable[..., Awaitable[Program]]

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
# The documents themselves are compared byte for byte elsewhere; reading them as YAML each time takes seconds.
SLOW = {"/openapi.yaml", "/asyncapi.yaml"}
# That there is no room is no fault; without a stream's name nothing but 404 would be asked for.
SETTINGS = """
[parameters]
"path.id" = "{stream_id}"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
SONG = "[[scale seconds=5]] a scale to be heard by a test, from the bottom to the top"
OPENAPI = read("openapi.yaml")
INTERNAL = {path for path, item in OPENAPI["paths"].items() if "servers" in item}


async def asked(process: Start, folder: Path, document: Path, url: str, stream_id: str, *options: str) -> Program:
    """The program, which has begun to ask."""
    settings = folder / "schemathesis.toml"
    settings.write_text(SETTINGS.format(stream_id=stream_id))
    return await process(
        *(Path(sys.executable).with_name("st"), "--config-file", settings, "run", document, "--url", url),
        *("--header", f"Authorization: Bearer {KEY}", "--checks", CHECKS, "--seed", "1", "--max-examples", "3"),
        *("--phases", "examples,fuzzing", "--generation-database", "none", "--request-timeout", "20", "--no-color"),
        *options,
        cwd=folder,
        # Schemathesis is no part of what is measured.
        environment={"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""},
    )


async def _song(running: Bench) -> str:
    stream_id: str = (await running.create(SONG))["id"]
    async with running.http.get(f"{running.url}/v1/streams/{stream_id}/audio.mp3") as response:
        assert len(await response.read()) > 10_000
    return stream_id


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_every_answer_is_in_the_specification(process: Start, tmp_path: Path) -> None:
    """At every operation of the public port."""
    count = sum(path not in INTERNAL | SLOW for path, *_ in operations(OPENAPI))
    async with bench(speed=100.0, limits=Limits(concurrent_streams=0, streams_per_minute=0)) as running:
        chosen = ["--exclude-tag", "Internal", *[option for path in SLOW for option in ("--exclude-path", path)]]
        document = ROOT / "gateway/spec/openapi.yaml"
        program = await asked(process, tmp_path, document, running.url, await _song(running), *chosen)
        code = await program.ends(timeout=100.0)
    assert code == 0, program.said
    assert f"Tested: {count}" in program.said


@pytest.mark.nightly  # it is the program that is tried here, which changes seldom
@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_an_answer_that_is_not_in_it_is_found(process: Start, tmp_path: Path) -> None:
    """At every operation of the internal port all is as it is written, but where the document was falsified."""
    lying = deepcopy(dict(OPENAPI))
    answers = lying["paths"]["/healthz"]["get"]["responses"]
    answers["201"] = answers.pop("200")
    lying["components"]["schemas"]["Readiness"]["required"].append("mood")
    document = tmp_path / "lying.json"
    document.write_text(json.dumps(lying))
    async with bench(speed=100.0) as running:
        program = await asked(process, tmp_path, document, running.internal, "st_0", "--include-tag", "Internal")
        code = await program.ends(timeout=100.0)
    assert code == 1, program.said
    assert f"Tested: {len(INTERNAL)}" in program.said
    found = re.findall(r"^_+ (GET \S+) _+$", program.said, re.MULTILINE)
    assert sorted(found) == ["GET /healthz", "GET /readyz"], program.said
