"""The composition root: what a demo changes, and that whatever was opened is closed, however it ends.

Invariant under test: a gateway that could not start has left nothing behind, and one that stops lets songs end first.
It must not know how the parts work that it puts together.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.app import Gateway
from gateway.config.schema import Config, Quota
from gateway.config.server import Server
from gateway.errors import StartError
from gateway.model import Status
from tests.support.gateway import bench, hear, receive, say, talk
from tests.support.relay import within

FREE = Server(port=0, internal_port=0)
MEMORY = Quota(store="memory:")


@contextmanager
def busy() -> Iterator[int]:
    """A port of this machine that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def free_port() -> int:
    with busy() as port:
        return port


# -- the demo ----------------------------------------------------------------------------------------------------------


async def test_a_demo_plays_out_of_the_box(tmp_path: Path) -> None:
    """The page finds its key, the key opens, a page of this machine may hold it, and the song is simulated.

    Nothing of it is written down.
    """
    quota = Quota(store=f"sqlite:///{tmp_path}/usage.db")
    async with Gateway(Config(server=FREE, quota=quota), None, demo=True) as gateway:
        url = gateway.addresses.public
        assert url.startswith("http://127.0.0.1:")
        assert gateway.addresses.internal.startswith("http://127.0.0.1:")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http:
            async with http.get(f"{url}/demo.json") as response:
                key = (await response.json())["key"]
            headers = {"Authorization": f"Bearer {key}"}
            body = {"input": {"prompt": "[[scale seconds=1 speed=0]] a scale for a visitor"}}
            async with http.post(f"{url}/v1/streams", json=body, headers=headers) as response:
                stream = await response.json()
                assert response.status == 201
            async with http.get(stream["urls"]["audio"], headers=headers) as response:
                assert len(await response.read()) > 1000
            async with http.get(f"{url}/v1/streams/{stream['id']}", headers=headers) as response:
                assert (await response.json())["simulated"] is True
        ws = "ws" + url.removeprefix("http") + "/v1/ws"
        async with connect(ws, origin=url, subprotocols=["wavegate.v1", "wavegate.key.ZGVtbw"]) as page:
            assert json.loads(await within(page.recv()))["tenant"] == "demo"
    assert list(tmp_path.iterdir()) == []


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("demo", [True, False])
async def test_a_public_port_that_is_taken_leaves_nothing_running(demo: bool) -> None:
    """The error is the system's, no task remains, and with the port free again the same configuration starts."""
    with busy() as port:
        config = Config(server=Server(port=port, internal_port=0), quota=MEMORY)
        with pytest.raises(OSError, match="in use"):
            await Gateway(config, "sk-test", demo=demo).__aenter__()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    async with Gateway(config, "sk-test", demo=demo) as gateway:
        assert gateway.addresses.public == f"http://127.0.0.1:{port}"


async def test_an_internal_port_that_is_taken_gives_the_public_one_back() -> None:
    """What was opened first is closed again."""
    public = free_port()
    with busy() as port, pytest.raises(OSError, match="in use"):
        await Gateway(Config(server=Server(port=public, internal_port=port), quota=MEMORY), "sk-test").__aenter__()
    with socket.create_server(("127.0.0.1", public)):
        pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_address_of_six_is_written_in_brackets() -> None:
    """A URL is a URL for either family."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    config = Config(server=Server(host="::1", port=0, internal_port=0), quota=MEMORY)
    async with Gateway(config, "sk-test") as gateway, aiohttp.ClientSession() as http:
        assert gateway.addresses.public.startswith("http://[::1]:")
        async with http.get(gateway.addresses.public + "/") as response:
            assert response.status == 200


# -- stopping ----------------------------------------------------------------------------------------------------------


async def test_a_drain_lets_a_running_stream_end() -> None:
    """Listeners are told and hear the end, new work is refused, nobody new connects, and then the drain is over."""
    async with bench() as running, talk(running) as socket_:
        await say(socket_, type="stream.create", input={"prompt": "[[scale seconds=3 speed=3]] a scale to end with"})
        assert (await receive(socket_))["type"] == "stream.created"
        draining = asyncio.create_task(running.gateway.drain())
        heard = await hear(socket_)
        assert heard.named("session.goaway")["time_left_ms"] == pytest.approx(30_000, abs=1000)
        assert heard.named("stream.completed")["duration_seconds"] == pytest.approx(3.0, abs=0.2)
        await within(draining)
        async with running.http.get(running.internal + "/readyz") as response:
            assert (response.status, (await response.json())["reasons"]) == (503, ["draining"])
        async with running.http.get(running.internal + "/healthz") as response:
            assert response.status == 200
        await say(socket_, type="stream.create", ref=1, input={"prompt": "a song that comes too late"})
        assert (await receive(socket_))["error"]["code"] == "going_away"
        async with aiohttp.ClientSession() as late:
            with pytest.raises(aiohttp.ClientConnectorError):
                await late.get(running.url + "/")


async def test_a_drain_has_an_end() -> None:
    """A song that is longer than the drain is ended when the gateway closes; its listener is told to come back."""
    server = Server(port=0, internal_port=0, drain_timeout=0.05)
    async with bench(server=server) as running:
        async with talk(running) as socket_:
            await say(socket_, type="stream.create", input={"prompt": "[[scale seconds=60 speed=1]] a very long scale"})
            await receive(socket_)
            await within(running.gateway.drain(), 5.0)
            (stream,) = running.gateway.hub.streams
            assert stream.status is Status.RUNNING
            leaving = asyncio.create_task(running.gateway.__aexit__(None, None, None))
            with pytest.raises(ConnectionClosed) as closed:
                await hear(socket_, until=())
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            assert closed.value.rcvd.reason.startswith("going_away;retry_after_ms=")
        await within(leaving)
        assert stream.status is Status.FAILED


async def test_an_exception_closes_everything_too() -> None:
    """What is raised inside comes out as it is, and the ports are free."""
    ports: list[int] = []

    async def fails() -> None:
        async with Gateway(Config(server=FREE, quota=MEMORY), "sk-test") as gateway:
            ports.append(int(gateway.addresses.public.rpartition(":")[2]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    with socket.create_server(("127.0.0.1", ports[0])):
        pass


async def test_a_ledger_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    """It names the file, and nothing is left running."""
    store = f"sqlite:///{tmp_path}/nowhere/usage.db"
    with pytest.raises(StartError, match=r"usage\.db"):
        await Gateway(Config(server=FREE, quota=Quota(store=store)), "sk-test").__aenter__()
    assert asyncio.all_tasks() == {asyncio.current_task()}
