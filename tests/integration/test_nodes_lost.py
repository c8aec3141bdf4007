"""What is lost when a node is killed, when Redis is killed or stands still, and when a line is cut; and what is not.

Invariant under test: whoever hears a song of this very node hears it to its end whatever becomes of Redis; whoever
hears another node's is told within its lease when that is gone; the ledger charges what was received, slots come back,
and everything heals without a restart. It looks at answers, bytes and the clock only.
"""

import asyncio
import hashlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config.schema import Limits, Quota
from gateway.config.secret import key_hash
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import KEY, PATIENCE, PROVIDER_KEY, Bench, hear, say, talk
from tests.support.line import bad_line
from tests.support.union import Union, answered, peers, soon, union

Start = Callable[..., Awaitable[Program]]

LONG = "[[scale seconds=60 speed=2]] a scale that is broken off"
SONG = "[[scale seconds=8 speed=2]] a scale that is heard whole"
SHORT = "[[scale seconds=2 speed=2]] a scale of two seconds"
NOBODY = "redis://127.0.0.1:1"
LEASE_SECONDS = 2.0
# The sign of life of a node is good for this long, and is looked at about once a second.
NODE_SECONDS = 5.0 + 2.0


async def ready(node: Bench) -> tuple[int, list[str]]:
    async with node.http.get(f"{node.internal}/readyz") as response:
        return response.status, (await response.json())["reasons"]


async def order(node: Bench, prompt: str) -> tuple[int, dict[str, Any], str | None]:
    async with node.http.post(f"{node.url}/v1/streams", json={"input": {"prompt": prompt}}) as response:
        return response.status, await response.json(), response.headers.get("Retry-After")


async def listen(node: Bench, stream_id: str, began: asyncio.Event) -> dict[str, Any]:
    """Hears it to its end, and checks that what was heard is what was sung."""
    async with talk(node) as socket:
        await say(socket, type="stream.attach", stream_id=stream_id)
        heard = await hear(socket, until=("stream.started",))
        began.set()
        rest = await hear(socket)
        last = rest.messages[-1]
        frames = [*heard.frames, *rest.frames]
        assert [header.seq for header, _ in frames] == list(range(len(frames)))
        if last["type"] == "stream.completed":
            whole = b"".join(payload for _, payload in frames)
            assert hashlib.sha256(whole).hexdigest() == last["sha256"]
        return last


async def hear_on_both(nodes: Union, prompt: str) -> tuple[str, list[asyncio.Task[dict[str, Any]]]]:
    """A song of the first node that is heard on both, each of whom has begun."""
    status, stream, _ = await order(nodes.nodes[0], prompt)
    assert status == 201
    begun = [asyncio.Event() for _ in nodes.nodes]
    listening = [
        asyncio.create_task(listen(node, stream["id"], event)) for node, event in zip(nodes.nodes, begun, strict=True)
    ]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*[event.wait() for event in begun])
    return stream["id"], listening


async def test_an_owner_that_is_killed(need: Callable[[str], str], process: Start, tmp_path: Path) -> None:
    """Its listeners elsewhere are told why, what they had is charged, and its slot is there again."""
    async with union(
        need("redis-server"), 1, limits=Limits(concurrent_streams=1), quota=Quota(lease_seconds=LEASE_SECONDS)
    ) as nodes:
        (tmp_path / "wavegate.yaml").write_text(
            f"tenants: [{{id: acme, keys: ['{key_hash(KEY)}'], limits: {{concurrent_streams: 1}}}}]\n"
            f"quota: {{lease_seconds: {LEASE_SECONDS}}}\ncluster: {{redis_url: '{nodes.redis.url}'}}\n"
            f"upstream: {{base_url: '{nodes.simulator.url}'}}\n",
            encoding="utf-8",
        )
        environment = {"PYTHONPATH": str(ROOT), "DASHSCOPE_API_KEY": PROVIDER_KEY}
        arguments = ("serve", "--config", "wavegate.yaml", "--port", "0", "--internal-port", "0")
        owner = await process(sys.executable, "-m", "gateway", *arguments, cwd=tmp_path, environment=environment)
        url = (await owner.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]
        here = nodes.nodes[0]
        await soon(lambda: len(peers(here)) == 1)
        async with nodes.http.post(f"{url}/v1/streams", json={"input": {"prompt": LONG}}) as response:
            assert response.status == 201
            stream_id = (await response.json())["id"]
        began = asyncio.Event()
        listening = asyncio.create_task(listen(here, stream_id, began))
        await began.wait()
        assert (await order(here, SONG))[0] == 429, "the only slot is the other node's"
        killed = time.monotonic()
        owner.send(signal.SIGKILL)
        last = await listening
        assert time.monotonic() - killed < NODE_SECONDS
        assert (last["type"], last["error"]["code"]) == ("stream.failed", "owner_lost")
        assert last["error"]["retryable"]
        status, _, _ = await answered(lambda: order(here, SONG), lambda got: got[0] == 201)
        assert status == 201
        async with nodes.http.get(f"{here.url}/v1/usage") as response:
            rows = {row["stream_id"]: row for row in (await response.json())["generations"]}
        assert rows[stream_id]["status"] == "expired"
        async with nodes.http.get(f"{here.url}/v1/streams/{stream_id}") as response:
            assert (await response.json())["error"]["code"] == "owner_lost"


async def test_redis_is_killed_and_comes_back_with_nothing(need: Callable[[str], str]) -> None:
    """Who hears hears on, new work is told when to come again, and afterwards all is as before."""
    async with union(need("redis-server"), 2) as nodes:
        _, listening = await hear_on_both(nodes, SONG)
        await nodes.redis.kill()
        for node in nodes.nodes:
            status, refusal, after = await order(node, SONG)
            assert (status, refusal["error"]["code"], after is not None) == (503, "ledger_unavailable", True)
            assert await answered(lambda node=node: ready(node), lambda got: got[0] == 503) == (503, ["redis away"])  # type: ignore[misc]  # a default binds it
        await nodes.redis.start()
        for node in nodes.nodes:
            assert await answered(lambda node=node: ready(node), lambda got: got[0] == 200) == (200, [])  # type: ignore[misc]  # the same
        assert [(await one)["type"] for one in listening] == ["stream.completed"] * 2
        again, listening = await hear_on_both(nodes, SONG + " again")
        assert [(await one)["type"] for one in listening] == ["stream.completed"] * 2
        assert again


@pytest.mark.parametrize("how", ["stands still", "cuts all lines"])
async def test_redis_that_is_not_lost(need: Callable[[str], str], how: str) -> None:
    """Who hears a song of this node does not even notice, who hears another's waits and misses nothing."""
    async with union(need("redis-server"), 2) as nodes:
        _, listening = await hear_on_both(nodes, SONG)
        if how == "stands still":
            nodes.redis.stop_answering()
            local = await listening[0]
            assert local["type"] == "stream.completed"
            assert not listening[1].done()
            nodes.redis.answer_again()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", nodes.redis.port)
            for _ in range(3):
                writer.write(b"CLIENT KILL TYPE normal SKIPME yes\r\n")
                await reader.readline()
            writer.close()
            await writer.wait_closed()
        assert [(await one)["type"] for one in listening] == ["stream.completed"] * 2


async def test_an_owner_whose_network_is_cut(need: Callable[[str], str]) -> None:
    """Its own listeners hear on, others' are told; when the line is mended it is one of them again."""
    async with union(need("redis-server"), 0) as nodes, bad_line(nodes.redis.url) as line:
        owner = await nodes.join(line.url.replace("http", "redis"))
        other = await nodes.join()
        _, listening = await hear_on_both(nodes, LONG)
        line.target = NOBODY
        line.cut()
        last = await listening[1]
        assert (last["type"], last["error"]["code"]) == ("stream.failed", "owner_lost")
        assert not listening[0].done()
        assert await answered(lambda: ready(owner), lambda got: got[0] == 503) == (503, ["redis away"])
        assert await ready(other) == (200, [])
        line.target = nodes.redis.url
        assert await answered(lambda: ready(owner), lambda got: got[0] == 200) == (200, [])
        await soon(lambda: len(peers(owner)) == len(peers(other)) == 1)
        assert not listening[0].done(), "it has sung on"
        _, again = await hear_on_both(nodes, SHORT)
        assert [(await one)["type"] for one in again] == ["stream.completed"] * 2
        listening[0].cancel()
        await asyncio.wait([listening[0]])


async def test_going_on_alone(need: Callable[[str], str]) -> None:
    """Where that was chosen, songs are sold while Redis is away, and stand in its book when it is back."""
    async with union(need("redis-server"), 2, cluster={"when_redis_is_away": "alone"}) as nodes:
        await nodes.redis.kill()
        made = []
        for node in nodes.nodes:
            status, stream, _ = await order(node, SONG)
            assert status == 201
            assert (await listen(node, stream["id"], asyncio.Event()))["type"] == "stream.completed"
            made.append(stream["id"])
        await nodes.redis.start()

        async def rows() -> dict[str, str]:
            node = nodes.nodes[0]
            async with node.http.get(f"{node.url}/v1/usage") as response:
                document = await response.json()
                return {row["stream_id"]: row["status"] for row in document.get("generations", [])}

        assert await answered(rows, lambda got: len(got) == 2) == dict.fromkeys(made, "completed")
