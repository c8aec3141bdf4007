"""Floods from one address, each at what one core can send, and ordinary listeners who hear on meanwhile.

Invariant under test: nobody who listens loses a byte or waits for a second, whoever asks from elsewhere is answered as
ever behind the flood, and the gateway's memory stays bounded. What a flood is stands in tests/support/floods.py.
"""

import asyncio
import hashlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.typing import Data

from gateway.bench import stage as staged
from gateway.bench.audience import order
from gateway.bench.stage import CHUNK_SECONDS, Crowd, crowd, prompt, settings, stage
from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.config.server import Server
from tests.house.programs import Program
from tests.support.certificates import Authority
from tests.support.floods import FLOODS, TLS_FLOODS
from tests.support.gateway import KEY, bench, hear, say, talk

BLOCKING = pytest.mark.blocking("the gateway and the crowd are processes of their own; the bench looks at their files")

FLOODER = "wg_flooder"
TENANTS = [Tenant(id="acme", keys=[key_hash(KEY)]), Tenant(id="flood", keys=[key_hash(FLOODER)])]
# Who floods comes by way of a proxy, so that it has an address of its own: who is on this machine has no limits.
PROXY, PREAMBLE = "127.0.0.2", "PROXY TCP4 203.0.113.{number} 198.51.100.1 40000 443"
MOST_LAG = 1.0
MOST_WAIT = 60.0
MOST_GROWTH = 100 << 20
FILES = 8192
FIGURES = (
    "%-13s %9.0f sent/s  lag %.3f s  answer %.3f s  gateway %3.0f %% of a core  memory %+.1f MB  crowd's pause %.3f s"
)

logger = logging.getLogger(__name__)


@dataclass
class Scene:
    """A gateway with its listeners; `theirs` is a song of the flooder's own."""

    gateway: staged.Server
    crowd: Crowd
    theirs: str

    @property
    def port(self) -> str:
        return self.gateway.public.rpartition(":")[2]

    async def answered(self) -> float:
        """Seconds until somebody from elsewhere has an answer; who stands behind a flood at the door waits for it."""
        asked = time.monotonic()
        with suppress(TimeoutError):
            await self.gateway.streams()
        return time.monotonic() - asked

    async def flooded(self, name: str, seconds: float, number: int) -> None:
        """One flood, from an address of its own, and what became of everybody else meanwhile."""
        before, cpu, began = self.gateway.resident(), self.gateway.cpu(), time.monotonic()
        await self.crowd.mark()
        arguments = (name, self.port, str(seconds), FLOODER, self.theirs, PREAMBLE.format(number=number))
        program = await Program.start(sys.executable, "-m", "tests.support.floods", *arguments)
        try:
            await asyncio.sleep(seconds / 2)
            answered = await self.answered()
            assert await program.ends(seconds + 30.0) == 0, program.said
        finally:
            await program.stop()
        core = (self.gateway.cpu() - cpu) / (time.monotonic() - began)
        found = await self.crowd.report()
        group = found.groups["ordinary"]
        lag, growth = max(0.0, group.silence - CHUNK_SECONDS), self.gateway.resident() - before
        sent = int(program.stdout) / seconds
        logger.warning(FIGURES, name, sent, lag, answered, 100 * core, growth / 1e6, found.pause)
        assert int(program.stdout) > 1, "it is a flood"
        assert not group.faults, group.words
        assert group.gone == 0
        # While the crowd itself does not look, nobody knows when a sound came.
        assert lag < MOST_LAG + found.pause, name
        # What the flood has left in the kernel's queue is accepted first.
        while await self.answered() > MOST_LAG:
            assert time.monotonic() - began < seconds + MOST_WAIT, name
        assert growth < MOST_GROWTH, name


class Watched:
    """A session, and the longest that nothing came after something had, in seconds."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._last: float | None = None
        self.longest = 0.0

    async def recv(self) -> Data:
        data = await self._line.recv()
        now = time.monotonic()
        if self._last is not None:
            self.longest = max(self.longest, now - self._last)
        self._last = now
        return data


@asynccontextmanager
async def scene(listeners: int, seconds: float) -> AsyncIterator[Scene]:
    async with stage() as where:
        ours = settings(where.provider, KEY)
        more = {
            "server": ours["server"] | {"trusted_proxies": [PROXY], "proxy_protocol": True},
            "tenants": [*ours["tenants"], {"id": "flood", "keys": [key_hash(FLOODER)]}],
        }
        async with (
            staged.server(where.provider, where.processor, more, KEY) as gateway,
            crowd(FILES, where.others) as ears,
        ):
            stream = await gateway.order(prompt(seconds))
            theirs = await asyncio.to_thread(order, gateway.public, FLOODER, prompt(600.0, 1))
            wish = {"key": KEY, "streams": (stream,), "since": "start"}
            await ears.join("ordinary", "websocket", gateway.public, listeners, **wish)
            yield Scene(gateway, ears, theirs)


async def floods(names: Collection[str], listeners: int, each: float, rest: float) -> None:
    """One after the other, each for so many seconds; `rest` is how long the song is beyond them."""
    async with scene(listeners, len(names) * each + rest) as there:
        before = there.gateway.resident()
        for number, name in enumerate(names, 1):
            await there.flooded(name, each, number)
        group = (await there.crowd.end(rest + 60.0)).groups["ordinary"]
        assert not group.faults, group.words
        assert group.whole == listeners, "to the last byte: the hashes are right"
        assert there.gateway.resident() - before < MOST_GROWTH
        said = there.gateway.complaints.read_text(encoding="utf-8")
        assert "Traceback" not in said, said[said.find("Traceback") :][:3000]
        page = await there.gateway.metrics()
        logger.warning("%s", [line for line in page.splitlines() if line.startswith("wavegate_refusals_total")])


@pytest.mark.parametrize("name", ["pings", "bad_tickets"])
async def test_a_flood_in_passing(name: str) -> None:
    """Thirty listeners in this process hear their song to the end; the flood is turned away, and counted."""
    # A busy machine may send no more guesses than that in a moment.
    few = 5
    server = Server(
        port=0,
        internal_port=0,
        trusted_proxies=[PROXY],
        proxy_protocol=True,
        bad_credentials_per_minute_per_address=few,
    )
    async with bench(server=server, tenants=TENANTS) as gateway, AsyncExitStack() as stack:
        song = await gateway.create("[[scale seconds=4 speed=4]] a scale in a flood")
        lines = [await stack.enter_async_context(talk(gateway)) for _ in range(30)]
        for line in lines:
            await say(line, type="stream.attach", stream_id=song["id"])
        number = gateway.url.rpartition(":")[2]
        arguments = (name, number, "0.7", FLOODER, song["id"], PREAMBLE.format(number=1))
        program = await Program.start(sys.executable, "-m", "tests.support.floods", *arguments)
        try:
            heard = await asyncio.gather(*[hear(line) for line in lines])
            assert await program.ends() == 0, program.said
        finally:
            await program.stop()
        for one in heard:
            assert hashlib.sha256(one.audio).hexdigest() == one.named("stream.completed")["sha256"]
        reason = {"pings": "frames", "bad_tickets": "credentials"}[name]
        registry = gateway.gateway.recorder.registry
        assert int(program.stdout) > 0
        assert (registry.get_sample_value("wavegate_refusals_total", {"reason": reason}) or 0) > 0


@BLOCKING
@pytest.mark.parametrize(
    ("name", "seconds"),
    [("hellos", 0.7), *[pytest.param(name, 8.0, marks=pytest.mark.nightly) for name in TLS_FLOODS]],
)
async def test_a_flood_of_handshakes(name: str, seconds: float, tmp_path: Path) -> None:
    """Listeners under TLS, in this process as the gateway is, hear their song to the end, and never wait for long."""
    authority = Authority(tmp_path)
    server = Server(port=0, internal_port=0, trusted_proxies=[PROXY], proxy_protocol=True, **authority.issue().config())
    async with bench(server=server, tenants=TENANTS) as gateway, AsyncExitStack() as stack:
        order = {"input": {"prompt": f"[[scale seconds={seconds + 2} speed=1]] a scale among handshakes"}}
        async with gateway.http.post(f"{gateway.url}/v1/streams", json=order, ssl=authority.trusted) as answer:
            song = await answer.json()
        lines = [await stack.enter_async_context(talk(gateway, ssl=authority.trusted)) for _ in range(20)]
        for line in lines:
            await say(line, type="stream.attach", stream_id=song["id"])
        number = gateway.url.rpartition(":")[2]
        arguments = (name, number, str(seconds), FLOODER, song["id"], PREAMBLE.format(number=1))
        program = await Program.start(sys.executable, "-m", "tests.support.floods", *arguments)
        try:
            watched = [Watched(line) for line in lines]
            heard = await asyncio.gather(*[hear(cast("ClientConnection", line)) for line in watched])
            assert await program.ends() == 0, program.said
        finally:
            await program.stop()
        longest = max(line.longest for line in watched)
        logger.warning("%-13s %9.0f sent/s  longest silence %.3f s", name, int(program.stdout) / seconds, longest)
        for one in heard:
            assert hashlib.sha256(one.audio).hexdigest() == one.named("stream.completed")["sha256"]
        assert longest < MOST_LAG + CHUNK_SECONDS


@BLOCKING
@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_every_flood() -> None:
    """Five hundred listeners, for five seconds each."""
    await floods(FLOODS, listeners=500, each=5.0, rest=60.0)
