"""What a program takes upon itself that imports the client: two libraries, and none of the server.

Invariant under test: `import gateway.client` is cheap, and its names are what the documents use. It runs in an
interpreter of its own, because this one has imported everything.
"""

import json
import pydoc
import sys
from collections.abc import Awaitable, Callable

import pytest

import gateway.client
from gateway.client import Client
from tests.house.programs import Program
from tests.house.tree import ROOT

Start = Callable[..., Awaitable[Program]]
LISTING = "import gateway.client, json, sys; print(json.dumps(sorted(sys.modules)))"
OURS = ("gateway.client", "gateway.protocol", "gateway.model", "gateway.errors")
HEAVY = {"aiohttp", "av", "lameenc", "metrics", "numpy", "prometheus_client", "pydub", "transcode", "uvloop", "yaml"}
# What measures programs that tests start stands in them, too.
COVERAGE = {"a1_coverage", "coverage", "$coverage"}
FOREIGN = {"msgspec", "websockets", "typing_extensions"}


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_client_brings_nothing_of_the_server_along(process: Start) -> None:
    """No web framework, no codec, no numpy, no metrics, no loop of its own; of ours, the rooms that it may see."""
    program = await process(sys.executable, "-c", LISTING, cwd=ROOT)
    assert await program.ends() == 0, program.said
    modules = json.loads(program.stdout)
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in modules)
    ours = [name for name in modules if name.startswith("gateway.")]
    assert ours
    assert [name for name in ours if not name.startswith(OURS)] == []
    # Of ours `gateway.protocol` is there in parts: what the client says and hears, and nothing of the provider's.
    assert "gateway.protocol.dashscope" not in ours
    standard = sys.stdlib_module_names | FOREIGN | {"gateway", "__main__", "__mp_main__"}
    foreign = {name.partition(".")[0] for name in modules} - standard
    assert {name for name in foreign if not name.startswith(("_", "sitecustomize", "usercustomize"))} <= COVERAGE


def test_every_name_that_is_promised_is_there_and_says_what_it_is() -> None:
    """`help(Client)` names every parameter and every error a caller may want to catch."""
    assert all(getattr(gateway.client, name) is not None for name in gateway.client.__all__)
    for name in ("Client", "ClientError", "Song", "Statistics", "Patience", "Interruption", "FormatSpec"):
        assert getattr(gateway.client, name).__doc__, name
    told = pydoc.render_doc(Client, renderer=pydoc.plaintext)
    for word in ("idempotency_key", "since", "on_lag", "ClientError", "patience", "stream_not_found"):
        assert word in told
    public = [name for name in vars(Client) if not name.startswith("_")]
    assert [name for name in public if not getattr(Client, name).__doc__] == []
