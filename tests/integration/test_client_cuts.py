"""The Python client on a bad network: hundreds of cuts, in a night a thousand, and every song is whole.

Songs are ordered, joined and caught up with through a proxy that cuts, stalls and resets each connection at a random
point. Invariant under test: no frame twice, none missing, the joined payloads are the provider's bytes and hash to what
the gateway says, and however often an order was made, each song was bought once.
"""

import asyncio
import hashlib
import random
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.client import Client, ClientError, FormatSpec, Kind, Patience, Song
from gateway.config.schema import Limits, Upstream
from tests.support.cutter import Cutter
from tests.support.gateway import KEY, Bench, bench
from transcode.framer import Framer

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

NO_LIMITS = Limits(
    concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=0, connections=0
)
PLENTY = Upstream(requests_per_minute=100_000, max_concurrency=200)
# No attempt takes long here, and some are cut before they begin.
PATIENCE = Patience(base=0.002, cap=0.02, attempts=200, seconds=50.0)
# While a song is made, when it is whole, in other forms than the provider's.
LISTENERS: tuple[dict[str, Any], ...] = (
    {"format": "mp3"},
    {"format": "mp3", "framing": "json"},
    {"format": FormatSpec("wav", sample_rate=24_000, channels=1)},
    {"format": "mp3", "late": True},
    {"format": FormatSpec("pcm", sample_rate=16_000, channels=1), "late": True},
)


@dataclass
class Listened:
    """What one listener got."""

    song: Song
    inits: list[bytes] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    audio: bytes = b""

    async def hear(self) -> None:
        pieces = []
        async for header, payload in self.song:
            pieces.append(payload)
            if header.kind is Kind.INIT:
                self.inits.append(payload)
            else:
                self.seqs.append(header.seq)
        self.audio = b"".join(pieces)

    def check(self) -> str:
        """That it is whole; gives its hash."""
        song, completed = self.song, self.song.completed
        assert completed is not None
        assert self.seqs == list(range(completed.frames)), "no frame twice, none missing, all in order"
        assert len(self.inits) <= 1
        digest = hashlib.sha256(self.audio).hexdigest()
        assert digest == completed.sha256 == song.sha256
        assert (song.verified, len(self.audio)) == (True, completed.bytes)
        assert song.statistics.gaps == 0
        return digest


async def patiently(ask: Any) -> Any:
    """A first connection that cannot be made is the caller's to try again; everything else is the client's."""
    while True:
        try:
            return await ask()
        except ClientError as error:
            if error.code not in ("unreachable", "connection_lost") or not error.retryable:
                raise


async def one_song(gateway: Bench, client: Client, number: int) -> list[Listened]:
    prompt = f"[[scale seconds=14 speed=5]] scale number {number} on a bad line"
    ordered = Listened(
        await patiently(lambda: client.create(prompt=prompt, idempotency_key=f"order-{number}", format="mp3"))
    )
    whole = asyncio.Event()

    async def join(late: bool = False, **options: Any) -> Listened:
        if late:
            await whole.wait()
        heard = Listened(await patiently(lambda: client.attach(ordered.song.id, **options)))
        await heard.hear()
        return heard

    async with asyncio.TaskGroup() as tasks:
        joined = [tasks.create_task(join(**options)) for options in LISTENERS]
        await ordered.hear()
        whole.set()
    return [ordered, *(task.result() for task in joined)]


@pytest.mark.timeout(120)  # a dozen seconds of work, which a busy machine may stretch
@pytest.mark.parametrize(("count", "cuts"), [(1, 300), pytest.param(3, 1000, marks=pytest.mark.nightly)])
async def test_cuts_lose_nothing_and_buy_nothing_twice(count: int, cuts: int) -> None:
    """Each song is heard by six at once, in four forms, and nobody can tell from the bytes that there was a cut."""
    began = time.monotonic()
    async with bench(limits=NO_LIMITS, upstream=PLENTY) as gateway:
        port = urlsplit(gateway.url).port
        assert port is not None
        async with (
            Cutter(port, seed=11) as network,
            Client(network.url, key=KEY, patience=PATIENCE, silence=0.15, jitter=random.Random(12).random) as client,
        ):
            songs = await asyncio.gather(*(one_song(gateway, client, number) for number in range(count)))
        assert gateway.simulator.requests == count
        for number, listeners in enumerate(songs):
            digests = [heard.check() for heard in listeners]
            prompt = f"[[scale seconds=14 speed=5]] scale number {number} on a bad line"
            framer = Framer()
            original = framer.feed(await gateway.original(prompt)) + framer.flush()
            assert digests[0] == hashlib.sha256(b"".join([frame.data for frame in original])).hexdigest()
            assert digests[1] == digests[2] == digests[4] == digests[0]
    reconnects = sum(heard.song.statistics.reconnects for listeners in songs for heard in listeners)
    print(
        f"{network.cuts.total()} cuts {dict(network.cuts)}, {reconnects} reconnects, {time.monotonic() - began:.1f} s"
    )
    assert network.cuts.total() >= cuts
    assert min(network.cuts.values()) >= cuts // 100
    assert reconnects >= cuts // 2


async def test_an_order_whose_answer_is_lost_is_bought_once() -> None:
    """Nearly every connection ends before or while the order is answered: each song is there, once, and whole."""
    orders = 25
    async with bench(speed=0, limits=NO_LIMITS, upstream=PLENTY) as gateway:
        port = urlsplit(gateway.url).port
        assert port is not None
        async with (
            Cutter(port, seed=5, longest=3000, stalls=0, askings=25) as network,
            Client(network.url, key=KEY, patience=PATIENCE, jitter=random.Random(6).random) as client,
        ):

            async def order(number: int) -> Song:
                prompt = f"[[scale seconds=1]] order number {number} on a bad line"
                song: Song = await patiently(lambda: client.create(prompt=prompt, idempotency_key=f"order-{number}"))
                return song

            songs = await asyncio.gather(*(order(number) for number in range(orders)))
            repeated = sum(song.statistics.reconnects > 0 for song in songs)
        assert len({song.id for song in songs}) == orders
        # An order is answered before the provider is asked.
        streams = list(gateway.gateway.hub.streams)
        for stream in streams:
            await stream.wait()
        assert gateway.simulator.requests == orders == len(streams)
        assert repeated >= 3, "answers were lost"
