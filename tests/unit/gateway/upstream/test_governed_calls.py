"""Patience towards a real server: how many calls reach it, when, and with which keys.

Invariant under test: the provider sees no call that could not be worth it, and none earlier than it asked for.
The provider answers as each test says, from a free port.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Queued, SourceEvent, TenantId, TriedAgain
from gateway.upstream.dashscope import DashScopeSource
from gateway.upstream.governed import GovernedSource
from gateway.upstream.governor import Governor
from gateway.upstream.keys import ProviderKey
from gateway.upstream.retry import RetryPolicy
from metrics.recorder import Recorder
from tests.support.provider import DELTA, END, EVENTS, SECRET, SONG, STOP, Provider

FULL = {
    "code": "InternalError.Algo",
    "message": "[music]Receive batching backend response failed!",
    "request_id": "r8",
}


def song() -> web.Response:
    return web.Response(body=DELTA + STOP, headers=EVENTS)


def answering(provider: Provider, *answers: Callable[[], web.Response]) -> list[float]:
    """Lets the provider give these answers in turn; the list is when each call came."""
    times: list[float] = []

    async def answer(_: web.Request) -> web.StreamResponse:
        times.append(time.monotonic())
        return answers[min(len(times), len(answers)) - 1]()

    provider.answer = answer
    return times


@asynccontextmanager
async def patient(provider: Provider, key: ProviderKey | None = None, **settings: Any) -> AsyncIterator[GovernedSource]:
    """The client of the provider as the gateway has it, with short back-offs."""
    config = Upstream(base_url=provider.url, **({"requests_per_minute": 60_000} | settings))
    inner = DashScopeSource(config, key or ProviderKey(SECRET))
    recorder = Recorder()
    policy = RetryPolicy(config.retry_attempts, config.retry_seconds, base=0.01)
    timeout = config.generation_timeout
    try:
        yield GovernedSource(inner, Governor(config, recorder), policy, recorder, timeout=timeout)
    finally:
        await inner.close()


async def heard(source: GovernedSource, tenant: str = "a") -> list[SourceEvent]:
    async with asyncio.timeout(20), source.open(SONG, TenantId(tenant)) as events:
        return [event async for event in events if not isinstance(event, Queued)]


async def test_a_full_provider_is_asked_again(provider: Provider) -> None:
    """Its 500 for being full is borne like a 429, and one song is heard."""
    times = answering(
        provider,
        lambda: web.json_response(FULL, status=500),
        lambda: web.json_response({"code": "Throttling.RateQuota"}, status=429, headers={"Retry-After": "0"}),
        song,
    )
    async with patient(provider) as source:
        tries = [TriedAgain(2), TriedAgain(3)]
        assert await heard(source) == [*tries, Accepted("r1"), AudioDelta(b"hello"), END]
    assert len(times) == 3


async def test_the_provider_s_pause_is_kept_by_all(provider: Provider) -> None:
    """Nobody calls before Retry-After is over, neither the one that was told nor anybody else."""
    times = answering(
        provider,
        lambda: web.json_response({"code": "Throttling"}, status=429, headers={"Retry-After": "1"}),
        song,
    )
    async with patient(provider, max_concurrency=1) as source:
        await asyncio.gather(heard(source), heard(source, "b"))
    assert len(times) == 3
    assert min(times[1:]) - times[0] >= 0.99


async def test_an_unknown_failure_is_asked_about_once_more(provider: Provider) -> None:
    """A second failure that may have cost money is the last."""
    times = answering(provider, lambda: web.json_response(FULL | {"message": "Other"}, status=500))
    async with patient(provider) as source:
        with pytest.raises(UpstreamError) as caught:
            await heard(source)
    assert (caught.value.code, caught.value.request_id, len(times)) == ("upstream_failed", "r8", 2)


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        (400, "DataInspectionFailed", "content_rejected"),
        (400, "InvalidParameter", "upstream_refused"),
        (429, "PrepaidBillOverdue", "upstream_refused"),
        (404, "NotFound", "upstream_refused"),
    ],
)
async def test_what_cannot_get_better_is_not_asked_again(provider: Provider, status: int, code: str, ours: str) -> None:
    """A refusal of the text, the request or the account is one call."""
    times = answering(provider, lambda: web.json_response({"code": code, "message": "m"}, status=status))
    async with patient(provider) as source:
        with pytest.raises(UpstreamError) as caught:
            await heard(source)
    assert (caught.value.code, len(times)) == (ours, 1)


async def test_a_song_that_breaks_off_is_not_bought_again(provider: Provider) -> None:
    """After the first sound there is no second call, although the failure is one that may be tried again."""
    times = answering(provider, lambda: web.Response(body=DELTA, headers=EVENTS))
    async with patient(provider) as source:
        with pytest.raises(UpstreamError) as caught:
            await heard(source)
    assert (caught.value.code, len(times)) == ("upstream_interrupted", 1)


async def test_a_provider_that_is_away_is_asked_so_often(provider: Provider) -> None:
    """retry_attempts further calls, then the failure."""
    times = answering(provider, lambda: web.Response(status=503))
    async with patient(provider, retry_attempts=2) as source:
        with pytest.raises(UpstreamError) as caught:
            await heard(source)
    assert (caught.value.code, len(times)) == ("upstream_unavailable", 3)


async def test_a_refused_key_is_not_noticed_by_the_listener(provider: Provider, tmp_path: Path) -> None:
    """The next key of the file is tried at once, and later generations begin with it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"].endswith("good")
        return song() if good else web.json_response({"code": "InvalidApiKey"}, status=401)

    provider.answer = answer
    file = tmp_path / "keys"
    file.write_text("sk-bad\nsk-worse\nsk-good\n")
    async with patient(provider, ProviderKey(path=file), retry_attempts=0) as source:
        for _ in range(2):
            assert (await heard(source))[-1] == END
    keys = [request.headers["Authorization"].rpartition("-")[2] for request, _ in provider.requests]
    assert keys == ["bad", "worse", "good", "good"]


async def test_the_account_s_concurrency_is_kept(provider: Provider) -> None:
    """However many ask, no more calls than allowed are with the provider at once, and all are served."""
    now = most = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        try:
            response = web.StreamResponse(headers=EVENTS)
            await response.prepare(request)
            await response.write(DELTA)
            await asyncio.sleep(0.01)  # The provider's pace, so that calls overlap.
            await response.write(STOP)
        finally:
            now -= 1
        return response

    provider.answer = answer
    async with patient(provider, max_concurrency=3) as source:
        songs = await asyncio.gather(*(heard(source, f"t{number % 4}") for number in range(20)))
    assert all(one[-1] == END for one in songs)
    assert most == 3
