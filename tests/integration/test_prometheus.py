"""A real Prometheus asks two gateways that have work, and trouble: every query of dashboard and rules has data.

Invariant under test: nothing is asked for that no gateway tells; what is told is a number, whatever doors are used.
It looks at Prometheus' answers only, with windows of time that `faster` has shortened; what fires is tested beside it.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.config.schema import Cluster, Config, Limits, Price, Quota, Relay, Transcode, Upstream
from gateway.config.server import Server
from tests.support.gateway import KEY, OTHER_KEY, PROVIDER_KEY, Bench, bench, hear, say, talk
from tests.support.picture import page
from tests.support.prometheus import Prometheus, alerts, faster, judged, panels, prometheus, queries, rules
from tests.support.proxies import certificate
from tests.support.redis import redis_server
from tests.support.union import answered

Need = Callable[[str], str]

INTERVAL = "500ms"
WINDOW = "3s"
WINDOWS = dict.fromkeys(("2m", "5m", "10m", "15m", "30m", "1h", "6h", "1d", WINDOW), WINDOW)
BAD = (
    "[[stall seconds=4 after=1 silence=3]] a song that stands still",
    "[[song mute=0.5 seconds=5 speed=1]] a song that falls silent",
    "[[error]] a song that cannot be made",
    "[[error]] another that cannot be made",
)
SONG = "[[scale seconds=4 speed=1]] a scale that is heard as it is made"


async def over_websocket(gateway: Bench, stream_id: str, form: object) -> None:
    async with talk(gateway) as socket:
        await say(socket, type="stream.attach", stream_id=stream_id, format=form)
        await hear(socket)


async def over_http(gateway: Bench, stream_id: str, extension: str) -> None:
    async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.{extension}") as response:
        assert response.status == 200
        async for _ in response.content.iter_any():
            pass


async def over_hls(gateway: Bench, stream_id: str) -> None:
    """As players do it: the playlist, and what stands in it, again and again."""
    place = f"{gateway.url}/v1/streams/{stream_id}/hls/"
    fetched: set[str] = set()
    playlist = ""
    while "#EXT-X-ENDLIST" not in playlist:
        async with gateway.http.get(place + "index.m3u8") as response:
            playlist = await response.text()
        for name in [line for line in playlist.splitlines() if line and not line.startswith("#")]:
            if name not in fetched:
                fetched.add(name)
                async with gateway.http.get(place + name) as response:
                    await response.read()
        await asyncio.sleep(0.3)  # a segment is a second long


async def trouble(gateway: Bench) -> None:
    """Orders past what a tenant may have at once; and another's, that stop, or fail until there is a pause."""
    for key, prompt in (*[(KEY, SONG)] * 6, *[(OTHER_KEY, prompt) for prompt in BAD]):
        order = {"input": {"prompt": prompt}}
        headers = {"Authorization": f"Bearer {key}"}
        async with gateway.http.post(f"{gateway.url}/v1/streams", json=order, headers=headers) as response:
            await response.read()


async def work(gateway: Bench) -> None:
    """Twice a song, heard at every door and in other formats, and trouble meanwhile: what has a series only from its
    first time on, as tenants and models have, is seen to rise at the second.
    """
    for _ in range(2):
        stream_id = (await gateway.create(SONG))["id"]
        listeners = [over_websocket(gateway, stream_id, form) for form in ("mp3", "mp3", "ogg", "pcm")]
        listeners += [over_http(gateway, stream_id, extension) for extension in ("mp3", "flac", "aac")]
        async with asyncio.TaskGroup() as tasks:
            for listener in (*listeners, over_hls(gateway, stream_id), trouble(gateway)):
                tasks.create_task(listener)


async def silent(seen: Prometheus, wanted: dict[str, str], begin: float) -> dict[str, str]:
    """Those that have given no number since `begin`."""
    end = time.time()
    answers = await asyncio.gather(*[seen.range(expr, begin, end, 0.5) for expr in wanted.values()])
    found = {}
    for (name, expr), series in zip(wanted.items(), answers, strict=True):
        if not any(not math.isnan(float(value)) for line in series for _, value in line["values"]):
            found[name] = expr
    return found


def wanted() -> dict[str, str]:
    """Everything that is asked, by where it stands."""
    asked = {f"{query.panel}: {query.legend}": faster(query.expr, WINDOWS) for query in queries(WINDOW)}
    recorded = {rule["record"]: rule["record"] for rule in rules() if "record" in rule}
    return asked | recorded | {name: judged(faster(rule["expr"], WINDOWS)) for name, rule in alerts().items()}


@pytest.mark.nightly
@pytest.mark.timeout(120)
async def test_every_query_has_data(need: Need, tmp_path: Path) -> None:
    chain, key = await asyncio.to_thread(certificate, need("openssl"), tmp_path)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(need("redis-server")))
        gateway = await stack.enter_async_context(
            bench(
                upstream=Upstream(circuit_failures=2, circuit_seconds=1.0, retry_attempts=0),
                relay=Relay(silence_seconds=1.0),
                quota=Quota(prices={"fun-music-v1": Price(per_second=0.002)}),
                cluster=Cluster(redis_url=redis.url),
                transcode=Transcode(workers=1),
                limits=Limits(concurrent_streams=4),
            )
        )
        other = await stack.enter_async_context(
            Gateway(
                Config(
                    server=Server(port=0, internal_port=0, tls_certificate_file=str(chain), tls_key_file=str(key)),
                    cluster=Cluster(redis_url=redis.url),
                    transcode=Transcode(workers=0),
                ),
                PROVIDER_KEY,
            )
        )
        (tmp_path / "prometheus").mkdir()
        begin = time.time()
        seen = await stack.enter_async_context(
            prometheus(need("prometheus"), tmp_path / "prometheus", WINDOWS, interval=INTERVAL)
        )
        seen.watch({gateway.internal: "wavegate", other.addresses.internal: "wavegate"})
        # It looks at its targets for the first time after five seconds, whatever one does.
        await answered(lambda: seen.query("count(up == 1)"), lambda found: found and found[0]["value"][1] == "2")
        with suppress(aiohttp.ClientError):
            await work(gateway)
        left = wanted()
        with suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                while left := await silent(seen, left, begin):  # noqa: ASYNC110 - a rule is looked at when it is
                    await asyncio.sleep(0.5)
        assert not left, "\n".join(f"{name}  {expr}" for name, expr in left.items())
        drawn, _ = await page(seen, begin, time.time(), 9, "dark")
    assert drawn.count("<section") == len(panels())
    # How many panels have two points to draw a line between is a matter of how long all this took.
    assert drawn.count("<polyline") > len(panels()) / 5, "what draws deploy's picture has lines for many"
