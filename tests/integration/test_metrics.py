"""The metrics beside what clients, the provider and the ledger have counted themselves: equal to the last byte.

A gateway is played to by listeners of every kind at once: three framings, HTTP whole and in part, HLS, other formats,
some that leave and come back, one that is behind and jumps, one that is cut.
Invariant under test: what the page says is what has happened, and nothing of it is estimated; and what has happened
here moves every metric but those that are named below, with the test that moves them.
"""

import asyncio
import base64
import json
from collections import Counter
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.config.schema import Limits, Price, Quota, Relay, Tenant, Transcode
from gateway.config.secret import key_hash
from gateway.model import Kind
from gateway.protocol.frames import unpack
from metrics.catalogue import CATALOGUE
from tests.integration.test_hls import play
from tests.integration.test_slow_listeners import idle, metric
from tests.integration.test_slow_listeners import whole as ended
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, Bench, bench, receive, say, talk
from tests.support.verbs import value

SONG = "[[scale seconds=4 speed=4]] a scale that very different people hear"
LONG = "[[scale seconds=8 speed=6]] a scale that overtakes a client"
AT_ONCE = "[[scale seconds=15 speed=0]] a scale that overtakes a client"
FAILS = "[[scale seconds=3 speed=0 cut after=2 how=reset]] a scale that breaks"
REFUSED = "[[scale seconds=2 speed=0 busy times=1 id=metrics]] a scale that is asked for twice"
PRICE = 0.25
MODEL = "fun-music-v1"

# What does not happen in this test, and where else it is made to happen.
ELSEWHERE = {
    "stream_stalls": "tests/unit/gateway/relay/test_silence.py",
    "streams_stalled": "tests/unit/gateway/relay/test_silence.py",
    "streams_active": "nothing is left at the end; tests/unit/gateway/relay/test_stream.py",
    "renditions_active": "nothing is left at the end; tests/integration/test_formats.py",
    "upstream_queue": "nobody waits at the end; tests/unit/gateway/upstream/test_governor.py",
    "upstream_circuit_open": "tests/unit/gateway/upstream/test_governor.py",
    "ledger_errors": "tests/unit/gateway/quota/test_metered.py",
    "codec_worker_restarts": "tests/unit/gateway/encoding/test_keeper.py",
    "redis_command_seconds": "tests/unit/gateway/redis/test_connection.py",
    "cluster_nodes": "tests/unit/gateway/server/test_gauges.py",
    "refusals": "tests/integration/test_admission.py",
    "unready": "tests/unit/gateway/server/test_gauges.py",
    "draining": "tests/unit/gateway/server/test_gauges.py",
    "config_reloads": "tests/unit/gateway/test_running.py",
    "config_reload_timestamp_seconds": "tests/unit/gateway/test_running.py",
    "tls_certificate_expiry_timestamp_seconds": "the tests of TLS",
    "log_lines": "the tests of the log",
    "log_lines_suppressed": "the tests of the log",
    "log_lines_dropped": "the tests of the log",
    "worker_restarts": "tests/integration/test_workers.py",
}


class Ears:
    """What all clients of this test have counted themselves."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.size: Counter[tuple[str, str]] = Counter()
        self.gaps: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self.joins = 0

    def take(self, transport: str, codec: str, payload: bytes) -> None:
        self.frames[transport] += 1
        self.size[transport, codec] += len(payload)

    def part(self, transport: str, codec: str, chunks: int, size: int) -> None:
        self.frames[transport] += chunks
        self.size[transport, codec] += size

    async def socket(self, line: ClientConnection, framing: str, codec: str, frames: int = 0) -> list[int]:
        """Hears to the end, or so many frames; gives the numbers of those that have one."""
        seqs: list[int] = []
        self.joins += 1
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while not frames or len(seqs) < frames:
                    data = await line.recv()
                    if isinstance(data, bytes):
                        self._frame(framing, codec, data, seqs, container=codec in ("opus", "pcm"))
                        continue
                    message = json.loads(data)
                    assert message["type"] != "error" or message["error"]["code"] == "too_slow", message
                    if message["type"] == "stream.gap":
                        self.gaps[message["reason"]] += 1
                    elif message["type"] == "audio.delta":
                        if message["kind"] == "audio":
                            self.take("websocket", codec, base64.b64decode(message["data"]))
                    elif message["type"] in ("stream.completed", "stream.failed"):
                        break
        return seqs

    def _frame(self, framing: str, codec: str, data: bytes, seqs: list[int], *, container: bool) -> None:
        if framing == "raw":
            assert not container, "an init chunk would look like audio"
            self.take("websocket", codec, data)
            return
        header, payload = unpack(data)
        if header.kind is Kind.AUDIO:
            seqs.append(header.seq)
            self.take("websocket", codec, payload)

    async def detach(self, line: ClientConnection, stream_id: str, codec: str) -> int:
        """Leaves; what was on its way is heard. Gives the number of the last frame."""
        await say(line, type="stream.detach", stream_id=stream_id)
        last = -1
        async with asyncio.timeout(PATIENCE):
            while True:
                data = await line.recv()
                if isinstance(data, bytes):
                    seqs: list[int] = []
                    self._frame("framed", codec, data, seqs, container=False)
                    last = seqs[-1] if seqs else last
                elif json.loads(data)["type"] == "stream.detached":
                    return last


async def scraped(gateway: Bench) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with gateway.http.get(f"{gateway.internal}/metrics") as response:
        page = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def hears(gateway: Bench, ears: Ears, stream: dict[str, Any], framing: str, form: Any, codec: str) -> None:
    """One listener over WebSocket, to the end."""
    async with talk(gateway) as line:
        await say(line, type="stream.attach", stream_id=stream["id"], framing=framing, format=form)
        await ears.socket(line, framing, codec)
    ears.closes["1000"] += 1


async def comes_back(gateway: Bench, ears: Ears, stream: dict[str, Any]) -> None:
    """Leaves in the middle, and goes on where it was, twice."""
    async with talk(gateway) as line:
        at: Any = "start"
        for frames in (5, 5, 0):
            await say(line, type="stream.attach", stream_id=stream["id"], since=at)
            while True:
                started = await receive(line)
                if started["type"] == "stream.started":
                    break
            seqs = await ears.socket(line, "framed", "mp3", frames)
            if frames:
                last = max(await ears.detach(line, stream["id"], "mp3"), *seqs)
                at = {"epoch": started["epoch"], "seq": last + 1}
    ears.closes["1000"] += 1


async def falls_behind(gateway: Bench, ears: Ears, stream: dict[str, Any]) -> None:
    """Reads nothing for a while, and then is sent the live edge; a gap is told of."""
    async with idle(gateway) as line:
        await say(line, type="stream.attach", stream_id=stream["id"], on_lag="live")
        await ended(gateway, stream["id"])
        await ears.socket(line, "framed", "pcm")
    ears.closes["1000"] += 1


async def is_cut(gateway: Bench, ears: Ears, stream: dict[str, Any]) -> None:
    """Reads nothing for too long, and hears so when it reads again, behind all that was on its way."""
    async with idle(gateway) as line:
        await say(line, type="stream.attach", stream_id=stream["id"])
        await metric(gateway, 'wavegate_slow_listeners_total{action="cut"} 1.0')
        await ears.socket(line, "framed", "pcm")
        assert line.close_code == 4102
    ears.closes["4102"] += 1


async def over_http(gateway: Bench, ears: Ears, url: str, codec: str, header: int, **headers: str) -> bytes:
    """A body, whole or a part: bytes are what counts, and frames are what it is made of."""
    ears.joins += 1
    async with gateway.http.get(url, headers=headers) as response:
        assert response.status in (200, 206)
        body = await response.read()
    ears.size["http", codec] += len(body) - header
    return body


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_the_page_says_what_was_counted() -> None:
    """All listeners at once; then every number is compared with what they, the provider and the ledger have."""
    quota = Quota(store="memory:", prices={MODEL: Price(per_second=PRICE)})
    relay, limits = Relay(live_lag=1.0, stall_timeout=4.0), Limits(concurrent_streams=3, streams_per_minute=0)
    ears = Ears()
    async with bench(quota=quota, relay=relay, limits=limits, transcode=Transcode(workers=1)) as gateway:
        song, long = await gateway.create(SONG), await gateway.create(LONG, format="wav")
        stalls = await gateway.create(AT_ONCE, format="wav")
        async with gateway.http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": SONG}}) as response:
            assert response.status == 429, "a limit"
        audio = song["urls"]["audio"]
        hls = asyncio.create_task(play(gateway, gateway.http, song["urls"]["hls"], "a player"))
        whole, *_ = await asyncio.gather(
            over_http(gateway, ears, audio, "mp3", 0),
            over_http(gateway, ears, long["urls"]["audio"], "pcm", 44),
            *(hears(gateway, ears, song, framing, "mp3", "mp3") for framing in ("framed", "framed", "raw", "json")),
            hears(gateway, ears, song, "framed", "ogg", "opus"),
            comes_back(gateway, ears, song),
            falls_behind(gateway, ears, long),
            is_cut(gateway, ears, stalls),
        )
        part = await over_http(gateway, ears, audio, "mp3", 0, Range="bytes=5000-39999")
        assert whole is not None
        assert part == whole[5000:40000]
        songs = ((SONG, "mp3"), (LONG, "wav"), (AT_ONCE, "wav"))
        originals = sum([len(await gateway.original(prompt, format=form)) for prompt, form in songs])
        assert (await scraped(gateway))["wavegate_upstream_bytes_total", ()] == originals
        for prompt, status in ((FAILS, "failed"), (REFUSED, "completed")):
            stream = await gateway.create(prompt)
            await hears(gateway, ears, stream, "framed", "mp3", "mp3")
            assert (await gateway.info(stream["id"]))["status"] == status
        _, sent = await hls
        page = await scraped(gateway)
        async with gateway.http.get(f"{gateway.url}/v1/usage") as response:
            usage = await response.json()

    def said(name: str, **labels: str) -> float:
        return page[f"wavegate_{name}", tuple(sorted(labels.items()))]

    # -- listeners -----------------------------------------------------------------------------------------------------
    assert said("frames_written_total", transport="websocket") == ears.frames["websocket"]
    for (transport, codec), size in ears.size.items():
        assert said("egress_bytes_total", transport=transport, codec=codec) == size, (transport, codec)
    assert said("egress_bytes_total", transport="hls", codec="aac") == sent
    assert said("listener_joins_total") == ears.joins + 1
    assert {reason: said("gaps_total", reason=reason) for reason in ("lag", "retention", "corrupt")} == {
        "lag": 0,
        "retention": 0,
        "corrupt": 0,
    } | ears.gaps
    assert ears.gaps["lag"] > 0
    assert said("slow_listeners_total", action="skip") == ears.gaps["lag"]
    closes = {dict(labels)["code"]: times for (name, labels), times in page.items() if "websocket_closes" in name}
    assert {code: times for code, times in closes.items() if times} == ears.closes
    left = Counter[str]()
    for (name, labels), times in page.items():
        if name == "wavegate_listener_departures_total":
            left[dict(labels)["reason"]] += int(times)
    assert left == {"completed": ears.joins - 4, "left": 2, "slow": 1, "failed": 1} | dict.fromkeys(
        ("lost", "moved", "refused"), 0
    )
    assert said("listener_lag_seconds_bucket", le="+Inf") > said("listener_lag_seconds_bucket", le="1.0") > 0
    # -- the provider, the ledger --------------------------------------------------------------------------------------
    totals = usage["totals"]
    for state in ("reserved", "settled", "refunded"):
        assert said("audio_seconds_total", tenant="acme", state=state) == pytest.approx(totals[state]), state
    assert said("cost_total", tenant="acme") == pytest.approx(totals["cost"]) == totals["settled"] * PRICE
    received = sum(generation["audio_seconds"] for generation in usage["generations"])
    assert said("upstream_audio_seconds_total") == pytest.approx(received, abs=0.1)
    assert said("streams_total", model=MODEL, outcome="completed") == 4
    assert said("streams_total", model=MODEL, outcome="failed") == 1
    assert said("upstream_errors_total", code="upstream_interrupted") == 1
    assert said("upstream_retries_total") == 1
    assert said("upstream_queue_seconds_count") == 6
    assert said("quota_rejections_total", tenant="acme", reason="concurrency_exceeded") == 1
    assert said("ledger_seconds_count", operation="settle") == 5
    # -- everything else -----------------------------------------------------------------------------------------------
    rows = {f"{row.full}{suffix}": row for row in CATALOGUE for suffix in ("", "_total", "_count")}
    moved = {rows[name].name for (name, _), value in page.items() if name in rows and value != rows[name].initial}
    moved |= {row.name for row in CATALOGUE if row.initial}
    assert {row.name for row in CATALOGUE} - moved <= set(ELSEWHERE)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_why_listeners_are_there_no_more() -> None:
    """One says goodbye, one is cut off, two players close their sockets, one key is gone; the last one is sent away."""
    tenants = [Tenant(id="acme", keys=[key_hash(KEY)]), Tenant(id="other", keys=[key_hash(OTHER_KEY)])]
    async with bench(tenants=tenants) as gateway:
        song = await gateway.create("[[scale seconds=60 speed=1]] a scale that goes on and on")
        departures = gateway.gateway.recorder

        async def gone(transport: str, reason: str) -> None:
            await metric(
                gateway, f'wavegate_listener_departures_total{{reason="{reason}",transport="{transport}"}} 1.0'
            )

        async def listens(line: ClientConnection, stream_id: str) -> None:
            await say(line, type="stream.attach", stream_id=stream_id)
            while (await receive(line))["type"] != "stream.started":
                pass

        async with talk(gateway) as polite:
            await listens(polite, song["id"])
        await gone("websocket", "left")
        async with talk(gateway) as rude:
            await listens(rude, song["id"])
            rude.transport.abort()
            await gone("websocket", "lost")
        async with gateway.http.get(song["urls"]["audio"]) as response:
            await response.content.readany()
            response.close()
        await gone("http", "left")
        config = gateway.gateway._config
        async with talk(gateway, key=OTHER_KEY) as revoked, talk(gateway) as last:
            await say(revoked, type="stream.create", input={"prompt": "[[scale seconds=60 speed=1]] another scale"})
            while (await receive(revoked))["type"] != "stream.started":
                pass
            await listens(last, song["id"])
            gateway.gateway.reload(msgspec.structs.replace(config, tenants=tenants[:1]))
            await gone("websocket", "refused")
            await gateway.gateway.__aexit__(None, None, None)
        assert value(departures, "listener_departures_total", transport="websocket", reason="moved") == 1.0
        assert value(departures, "listeners", transport="websocket", codec="mp3") == 0.0
        assert value(departures, "listener_joins_total") == 5.0
