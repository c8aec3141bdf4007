"""The event loop's delay while many formats are made and very many listen, beside that of the same loop at rest.

The gateway is in this loop, whole, with its worker processes; the provider is the simulator in a process of its own,
and so are all listeners. Invariant: it counts only if all renditions are in the making and all listeners are there,
before and after. It must not know the gateway beyond its composition root.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.app import Gateway
from gateway.bench.benches import BenchError
from gateway.bench.figures import percentile
from gateway.bench.programs import program
from gateway.bench.report import Row
from gateway.bench.stage import UNLIMITED
from gateway.bench.ticks import ticks
from gateway.bench.usage import raise_file_limit
from gateway.config.schema import Config, Limits, Quota, Relay, Tenant, Transcode, Upstream
from gateway.config.secret import key_hash
from gateway.config.server import Server

MOST_MS = 2.0
_FORM, _CODEC = "ogg", "opus"
_SPARE_FILES = 512
_COME_SECONDS, _LOOK_SECONDS = 20.0, 0.05
_SETTLE_SECONDS = 2.0  # everybody has come, and the first flood of what was there already is over
_SPARE_SECONDS = 60.0  # of the songs, for whatever comes before and after
_LONGEST = 600.0  # that the simulator sings


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many streams at once, each in another format than the provider's, heard by so many listeners in all."""

    streams: int = 32
    listeners: int = 1000


async def measure(
    crowd: Crowd, seconds: float, tell: Callable[[str], None], settle: float = _SETTLE_SECONDS
) -> list[Row]:
    """Half of `seconds` at rest, and all of them busy. Raises BenchError when not everything ran as it should."""
    raise_file_limit(crowd.listeners + _SPARE_FILES)
    key = secrets.token_urlsafe(16)
    async with program("gateway", "simulate", "--port", "0", aside=True) as provider:
        url = (await provider.says(r"simulator at (\S+?),"))[1]
        async with Gateway(config(url, key, crowd), secrets.token_urlsafe(16)) as gateway:
            tell("at rest")
            idle = await ticks(seconds / 2)
            tell(f"{crowd.streams} renditions, {crowd.listeners} listeners")
            prompt = f"[[scale seconds={min(seconds + _SPARE_SECONDS, _LONGEST):g} speed=1]] a scale sung to many"
            public = gateway.addresses.public
            numbers = (str(crowd.streams), str(crowd.listeners))
            async with program("gateway.bench.audience", public, key, prompt, *numbers, _FORM, aside=True) as audience:
                await audience.says("^ready$")
                await assembled(gateway, crowd)
                await asyncio.sleep(settle)
                async with program("gateway.bench.ticks", f"{seconds:g}") as bystander:
                    busy = await ticks(seconds)
                    present(gateway, crowd)
                    beside = json.loads((await bystander.says(r"^\[.*\]$"))[0])
                    await bystander.over()
    return rows(idle, busy, beside)


def config(url: str, key: str, crowd: Crowd) -> Config:
    """A gateway on free ports of the loopback, with the simulator as its provider and room for everybody."""
    return Config(
        server=Server(port=0, internal_port=0),
        upstream=Upstream(
            base_url=url,
            audio_hosts=["127.0.0.1:*"],
            requests_per_minute=60_000,
            max_concurrency=crowd.streams,
            max_queue=crowd.streams,
            max_queue_per_tenant=crowd.streams,
        ),
        transcode=Transcode(max_encodings=2 * crowd.streams),  # of more than half of all a tenant leaves some to others
        relay=Relay(),
        quota=Quota(store="memory:"),
        tenants=[Tenant(id="bench", keys=[key_hash(key)], limits=Limits(**UNLIMITED))],
    )


async def assembled(gateway: Gateway, crowd: Crowd, patience: float = _COME_SECONDS) -> None:
    """Until everybody is there. Raises BenchError when that takes too long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while there(gateway) != crowd and loop.time() < end:  # noqa: ASYNC110 - what is counted tells nobody
        await asyncio.sleep(_LOOK_SECONDS)
    present(gateway, crowd)


def there(gateway: Gateway) -> Crowd:
    """How many renditions are being made, and how many listen to such."""
    registry = gateway.recorder.registry
    encodes = registry.get_sample_value("wavegate_renditions_active", {"codec": _CODEC})
    listeners = registry.get_sample_value("wavegate_listeners", {"transport": "http", "codec": _CODEC})
    return Crowd(int(encodes or 0), int(listeners or 0))


def present(gateway: Gateway, crowd: Crowd) -> None:
    """Raises BenchError unless every rendition is being made and every listener is there."""
    found = there(gateway)
    if found != crowd:
        raise BenchError(
            f"{found.streams} renditions ran and {found.listeners} listened, not {crowd.streams} and "
            f"{crowd.listeners}: the machine is too slow or too busy for it."
        )


def rows(idle: Sequence[float], busy: Sequence[float], beside: Sequence[float]) -> list[Row]:
    """Three loops; seconds of delay in, milliseconds out."""
    return [
        _row("at rest, p99", idle, None),
        _row("busy, p99", busy, MOST_MS),
        _row("an idle loop beside it, p99", beside, None),
    ]


def _row(name: str, late: Sequence[float], target: float | None) -> Row:
    half, thousandth = (percentile(late, share) * 1e3 for share in (0.5, 0.999))
    spread = f"p50 {half:.2f}, p99.9 {thousandth:.1f}, max {max(late) * 1e3:.0f}"
    return Row(name, percentile(late, 0.99) * 1e3, "ms", target, spread)
