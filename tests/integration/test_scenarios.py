"""Every mood of the provider, through the whole gateway on real sockets: what the listener is told and what it costs.

Invariant under test: whatever the provider does, a stream ends once, with our code or with the whole song; it is asked
again only while nothing has been heard; what came is kept and charged, and every gauge returns to zero.
"""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config.schema import Upstream
from tests.support.gateway import PROVIDER_KEY, Bench, bench, hear, say, talk


@dataclass(frozen=True)
class Row:
    """A scenario, how it must end, how often the provider is asked, and how many seconds are heard and charged."""

    scenario: str
    code: str | None = None
    calls: int = 1
    heard: float = 2.0
    charged: float = 2.0
    gaps: int = 0
    format: str = "mp3"
    mode: str = "stream"
    model: str = "fun-music-v1"
    settings: dict[str, Any] = field(default_factory=dict)


WHOLE = "scale seconds=2 speed=0"
COSY, QWEN = "cosyvoice-v3-flash", "qwen3-tts-flash"
BRIEF: dict[str, Any] = {"first_event_timeout": 0.6, "idle_timeout": 0.6}
ROWS = [
    # the song, in every dress that the wire knows
    Row(WHOLE),
    Row(f"{WHOLE} id3=0"),
    Row(f"{WHOLE} xing=1"),
    Row(f"{WHOLE} vbr=1"),
    Row(f"{WHOLE} slice=1000000"),
    Row(f"{WHOLE} slice=7"),
    Row(f"{WHOLE} drip=50 pause=0"),
    Row(f"{WHOLE} lines=crlf"),
    Row(f"{WHOLE} lines=cr"),
    Row(f"{WHOLE} multiline=1"),
    Row(f"{WHOLE} no_last_blank=1"),
    Row(f"{WHOLE} rate=number"),
    Row(f"{WHOLE} rate=none"),
    Row(f"{WHOLE} stop_audio=1"),
    Row(f"{WHOLE} url=0"),
    Row(f"{WHOLE} usage=0"),
    Row(f"{WHOLE} wait=0.3"),
    Row(WHOLE, format="wav"),
    Row(f"{WHOLE} wav=0xFFFFFFFF", format="wav"),
    Row(f"{WHOLE} wav=0x7FFFFFFF", format="wav"),
    Row(f"{WHOLE} wav=0", format="wav"),
    Row(f"{WHOLE} wav=short", format="wav"),
    Row(f"{WHOLE} wav=extensible", format="wav"),
    Row(WHOLE, mode="file"),
    Row(WHOLE, mode="file", format="wav"),
    # speech, over the same wire: billed by the character, so what is charged here is what came
    Row(WHOLE, model=COSY),
    Row(WHOLE, model=COSY, format="wav"),
    Row(WHOLE, model=COSY, mode="file"),
    Row(WHOLE, model=QWEN, format="wav"),
    Row(WHOLE, model=QWEN, format="wav", mode="file"),
    Row(f"{WHOLE} wav=bare", model=QWEN, format="wav"),
    Row(f"{WHOLE} slice=7 multiline=1", model=QWEN, format="wav"),
    Row(f"{WHOLE} throttle times=1 id=s", model=COSY, calls=2),
    Row(f"{WHOLE} empty", "upstream_empty", 2, 0, 0, model=COSY),
    Row(f"{WHOLE} cut after=1", "upstream_interrupted", 1, 1, 1, model=COSY),
    Row(f"{WHOLE} inspection shape=event", "content_rejected", 1, 0, 0, model=QWEN, format="wav"),
    Row(f"{WHOLE} garbage after=1 size=5000", gaps=1, model=COSY),
    # the account's limits: asked again, a little later
    Row(f"{WHOLE} throttle times=2 id=t", calls=3),
    Row(f"{WHOLE} busy times=1 id=b", calls=2),
    Row(f"{WHOLE} burst times=1 id=u shape=event", calls=2),
    Row(f"{WHOLE} unavailable times=1 id=v", calls=2),
    Row(f"{WHOLE} throttle", "upstream_busy", 2, 0, 0, settings={"retry_attempts": 1}),
    Row(f"{WHOLE} throttle retry_after=3600", "upstream_busy", 1, 0, 0),
    # asking again would not help
    Row(f"{WHOLE} overdue", "upstream_refused", 1, 0, 0),
    Row(f"{WHOLE} arrears", "upstream_refused", 1, 0, 0),
    Row(f"{WHOLE} bad_key", "upstream_refused", 1, 0, 0),
    Row(f"{WHOLE} denied", "upstream_refused", 1, 0, 0),
    Row(f"{WHOLE} not_found shape=openai", "upstream_refused", 1, 0, 0),
    Row(f"{WHOLE} moderation", "content_rejected", 1, 0, 0),
    Row(f"{WHOLE} moderation shape=framed", "content_rejected", 1, 0, 0),
    Row(f"{WHOLE} inspection shape=event", "content_rejected", 1, 0, 0),
    # may have cost something already: asked again once
    Row(f"{WHOLE} error", "upstream_failed", 2, 0, 0),
    Row(f"{WHOLE} error shape=result", "upstream_failed", 2, 0, 0),
    Row(f"{WHOLE} error times=1 id=e", calls=2),
    Row(f"{WHOLE} cut", "upstream_failed", 2, 0, 0),
    Row(f"{WHOLE} empty", "upstream_empty", 2, 0, 0),
    Row(f"{WHOLE} hold=30", "upstream_timeout", 2, 0, 0, settings=BRIEF),
    Row(f"{WHOLE} type=text/html", "upstream_protocol", 2, 0, 0),
    # after the first sound: what came is kept and charged, and nothing is asked again
    Row(f"{WHOLE} error after=1", "upstream_failed", 1, 1, 1),
    Row(f"{WHOLE} throttle after=1", "upstream_busy", 1, 1, 1),
    Row(f"{WHOLE} cut after=1 how=end", "upstream_interrupted", 1, 1, 1),
    Row(f"{WHOLE} cut after=1 how=close", "upstream_interrupted", 1, 1, 1),
    Row(f"{WHOLE} cut after=1 how=reset", "upstream_interrupted", 1, 1, 1),
    Row(f"{WHOLE} stall after=1 silence=30", "upstream_timeout", 1, 1, 1, settings=BRIEF),
    Row(f"{WHOLE} stall after=1 silence=1.5 heartbeat=0.1", settings=BRIEF),
    Row(f"{WHOLE} bad_base64 after=1", "upstream_protocol", 1, 1, 1),
    Row(f"{WHOLE} bad_json after=1", "upstream_protocol", 1, 1, 1),
    Row(f"{WHOLE} oversized after=1 size=200000", "upstream_protocol", 1, 1, 1, settings={"max_event_bytes": 100000}),
    Row(f"{WHOLE} garbage after=1 size=5000", gaps=1),
    Row(f"{WHOLE} noise", "upstream_empty", 1, 0, 0),
    Row("scale seconds=6 speed=0 noise", "upstream_protocol", 1, 0, 0),
]


async def page(gateway: Bench) -> str:
    """What Prometheus is told."""
    async with gateway.http.get(f"{gateway.internal}/metrics") as response:
        return await response.text()


async def gauges(gateway: Bench) -> dict[str, float]:
    """What must be nothing once a stream has ended."""
    names = ("wavegate_streams_active", 'wavegate_upstream_concurrency{state="used"}', "wavegate_listeners{")
    return {line: float(line.split()[-1]) for line in (await page(gateway)).splitlines() if line.startswith(names)}


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row.mode}-{row.model}-{row.format}-{row.scenario.removeprefix(WHOLE)}"
)
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_the_provider_may_do_as_it_likes(row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """The row's ending, calls, seconds and gaps; nothing is left behind, and the key is in nothing that was said."""
    caplog.set_level(logging.DEBUG)
    settings = {"retry_seconds": 10.0, "requests_per_minute": 60000} | row.settings
    async with bench(upstream=Upstream(**settings)) as gateway, talk(gateway) as socket:
        words = f"[[{row.scenario}]] a scale for the table"
        asked = {"prompt": words} if row.model == "fun-music-v1" else {"text": words, "voice": "Cherry"}
        await say(socket, type="stream.create", mode=row.mode, model=row.model, input=asked | {"format": row.format})
        heard = await hear(socket)
        told = heard.messages[-1]
        info = await gateway.info(heard.named("stream.created")["stream"]["id"])
        assert told["type"] == ("stream.failed" if row.code else "stream.completed"), told
        assert told.get("error", {}).get("code") == row.code
        assert gateway.simulator.requests == row.calls
        seconds = sum(header.duration for header, _ in heard.frames) / (info["sample_rate"] or 48_000)
        assert seconds == pytest.approx(row.heard, abs=0.3)
        assert info["usage"]["settled"] is True
        assert info["usage"]["audio_seconds"] == pytest.approx(row.charged, abs=0.3)
        assert heard.seqs == list(range(len(heard.frames)))
        gaps = [message["reason"] for message in heard.messages if message["type"] == "stream.gap"]
        assert gaps == ["corrupt"] * row.gaps
        metrics = await page(gateway)
        for text in (json.dumps(heard.messages), json.dumps(info), caplog.text, metrics):
            assert PROVIDER_KEY not in text
        async with asyncio.timeout(10):
            while any((await gauges(gateway)).values()):
                pass
