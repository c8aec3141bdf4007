"""Attacks on money: seconds for which nobody is charged, or another is, or more than limits permit.

Each test is a way that somebody tried who has read the source: a tenant with a small budget, or a guest with a ticket.
Invariant under test: what the provider charges stands in the ledger of whoever had it made, and no limit is passed.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gateway.config.schema import Limits, Price, Quota, Tenant, Upstream
from gateway.config.secret import key_hash
from gateway.relay.stream import Stream
from tests.support.gateway import KEY, bench, receive, say, talk
from tests.support.guests import anybody, http_code, mint
from tests.support.server import soon
from tests.support.spender import order, ordered, row, rows, sounding

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

SPEECH = "cosyvoice-v3-flash"
TEXT = "hello there how are you today my friend " * 10
SCALE = "[[scale seconds=2 speed=0]] a scale for whoever pays"
EXACT = Quota(store="memory:", minimum_seconds=5.0)


# -- giving up before the bill -----------------------------------------------------------------------------------------


async def test_a_file_that_is_given_up_while_it_is_fetched_is_charged_as_made() -> None:
    """The provider has made and billed all of it by then; a day's budget would never be used up."""
    async with bench(speed=0) as gateway:
        prompt = "[[scale seconds=40]] a scale for nobody"
        stream = await ordered(gateway, mode="file", input={"prompt": prompt, "format": "wav"})
        await sounding(stream)
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{stream.id}") as response:
            assert (await response.json())["usage"] == {"audio_seconds": 40.0, "settled": True}
        assert stream.received_seconds < 40.0
        charged = await row(gateway)
        assert (charged["status"], charged["settled"]) == ("cancelled", 40.0)
        assert gateway.simulator.charged_seconds == 40.0


async def test_a_file_is_charged_as_made_also_where_the_budget_ends() -> None:
    """It is bought as a whole, so all of it is charged, and heard: to cut it off would give seconds to nobody."""
    async with bench(speed=0, limits=Limits(audio_seconds_per_day=12), quota=EXACT) as gateway:
        stream = await ordered(gateway, mode="file", input={"prompt": "[[scale seconds=25]] a scale for nobody"})
        await stream.wait()
        charged = await row(gateway)
        assert (charged["status"], charged["settled"]) == ("completed", 25.0)
        assert gateway.simulator.charged_seconds == 25.0
        status, refused = await order(gateway, mode="file", input={"prompt": SCALE})
        assert (status, refused["error"]["code"]) == (429, "quota_exceeded")


async def test_a_file_is_not_begun_with_the_last_seconds_of_a_budget() -> None:
    """It could not be ended with them, and those of short songs, by which less would be reserved, teach nothing."""
    async with bench(speed=0, limits=Limits(audio_seconds_per_day=50), quota=EXACT) as gateway:
        await (await ordered(gateway, input={"prompt": SCALE})).wait()
        status, refused = await order(gateway, mode="file", input={"prompt": "[[scale seconds=400]] a scale for free"})
        assert (status, refused["error"]["code"]) == (429, "quota_exceeded")
        await (await ordered(gateway, input={"prompt": SCALE})).wait()
        assert gateway.simulator.charged_seconds == 4.0


async def test_a_text_that_is_given_up_before_its_end_costs_its_characters() -> None:
    """The bill in characters comes with the last word; whoever leaves before it has had the text spoken."""
    quota = Quota(store="memory:", prices={SPEECH: Price(per_character=0.001)})
    async with bench(speed=20, quota=quota) as gateway:
        stream = await ordered(gateway, model=SPEECH, input={"text": TEXT, "voice": "longanyang"})
        await sounding(stream)
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{stream.id}") as response:
            assert (await response.json())["usage"]["characters"] == len(TEXT)
        charged = await row(gateway)
        assert (charged["status"], charged["cost"]) == ("cancelled", pytest.approx(0.001 * len(TEXT)))


@pytest.mark.parametrize("mode", ["file", pytest.param("stream", marks=pytest.mark.nightly)])
async def test_at_whatever_moment_it_is_given_up_the_bills_are_the_same(mode: str) -> None:
    """From before its first step to after its last word, by cancel; nothing is held afterwards."""
    limits = Limits(concurrent_streams=0, streams_per_minute=0)
    upstream = Upstream(requests_per_minute=100_000, max_concurrency=200)
    async with bench(speed=0, limits=limits, upstream=upstream) as gateway:
        streams = [await ordered(gateway, mode=mode, input={"prompt": SCALE, "format": "wav"}) for _ in range(24)]
        for turns, stream in enumerate(streams):
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            stream.cancel()
        for stream in streams:
            await stream.wait()
        # Of a broken stream the provider counts what it had sent, which may be more than had come.
        charged = sum(one["settled"] for one in await rows(gateway))
        assert charged == pytest.approx(sum(stream.bill.seconds for stream in streams), abs=0.03)
        if mode == "file":
            # Also one of which nothing had come yet: once the provider has said what it costs, that is what it costs.
            made = [stream for stream in streams if stream.received_seconds or stream.bill.seconds]
            assert all(stream.bill.seconds == 2.0 for stream in made)
            assert charged == 2.0 * len(made) <= gateway.simulator.charged_seconds
        assert all(stream.bill.settled for stream in streams)
        assert {one["status"] for one in await rows(gateway)} <= {"cancelled", "completed"}


# -- what the provider says of its bill --------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "settled"), [(5000, 5000.0), (10**12, 2.0), (0, 0.0)])
async def test_the_bill_is_the_provider_s_word_as_far_as_it_can_be_one(
    told: int, settled: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Larger than the reservation it is charged whole, and ends the budget; beyond belief, what came is charged.

    A number that no ledger can take would be told to it for ever, and the slot be held meanwhile.
    """
    monkeypatch.setattr("gateway.upstream.simulator.song.Song.duration", property(lambda _: told))
    async with bench(speed=0, limits=Limits(audio_seconds_per_day=1000)) as gateway:
        stream = await ordered(gateway, input={"prompt": SCALE})
        await stream.wait()
        charged = await row(gateway)
        assert (charged["status"], stream.bill.settled) == ("completed", True)
        assert charged["settled"] == pytest.approx(settled, abs=0.1)
        status, _ = await order(gateway, input={"prompt": SCALE})
        assert status == (429 if told == 5000 else 201)


async def test_a_bill_that_is_never_told_is_what_came() -> None:
    """Neither nothing, nor what was reserved."""
    async with bench(speed=0) as gateway:
        stream = await ordered(gateway, input={"prompt": "[[scale seconds=2 usage=0]] a scale for whoever pays"})
        await stream.wait()
        assert (await row(gateway))["settled"] == pytest.approx(2.0, abs=0.1)


# -- what a ticket may buy ---------------------------------------------------------------------------------------------


async def test_a_song_that_becomes_longer_ends_with_its_ticket() -> None:
    """What it was taken for is a guess; the tenant has more left, and the guest has not."""
    async with bench(speed=0, quota=Quota(store="memory:", estimate_seconds=20.0)) as gateway, anybody() as http:
        ticket = await mint(gateway, allow=["create"], uses=0, max_audio_seconds=26)
        prompt = "[[scale seconds=60]] a scale without an end"
        status, document = await order(gateway, http, f"?ticket={ticket}", input={"prompt": prompt})
        assert status == 201
        (stream,) = gateway.gateway.hub.streams
        assert isinstance(stream, Stream)
        await stream.wait()
        assert stream.error is not None
        assert stream.error.code == "quota_exceeded"
        assert 26.0 <= stream.audio_seconds < 26.5
        status, document = await order(gateway, http, f"?ticket={ticket}", input={"prompt": SCALE})
        assert (status, document["error"]["code"]) == (429, "quota_exceeded")


@pytest.mark.nightly
async def test_many_short_texts_that_are_long_do_not_pass_a_ticket_together() -> None:
    """Five orders at once of six seconds each, by their length, of which each speaks for twenty."""
    limits = Limits(concurrent_streams=0, streams_per_minute=0)
    async with bench(speed=0, limits=limits) as gateway, anybody() as http:
        ticket = await mint(gateway, allow=["create"], uses=0, max_audio_seconds=40)
        said = {"text": "[[scale seconds=20]] ok", "voice": "longanyang"}
        answers = [order(gateway, http, f"?ticket={ticket}", model=SPEECH, input=said) for _ in range(5)]
        assert {status for status, _ in await asyncio.gather(*answers)} == {201}
        streams = list(gateway.gateway.hub.streams)
        for stream in streams:
            assert isinstance(stream, Stream)
            await stream.wait()
        # Each ends at a whole chunk: those are what is more.
        assert sum(stream.audio_seconds for stream in streams) < 40.0 + 0.5 * len(streams)


async def test_a_song_that_was_bought_is_not_heard_again_and_again_for_one_use() -> None:
    """The door that answers an order with its sound repeats it, by key or by a library's count; of a ticket of one use
    that would be an answer for everybody it is passed to.
    """
    async with bench(speed=0) as gateway, anybody() as http:
        for headers in ({"Idempotency-Key": "mine"}, {"X-Stainless-Retry-Count": "1"}):
            ticket = await mint(gateway, allow=["create"], uses=2)
            headers |= {"Authorization": f"Bearer {ticket}"}
            body = {"model": SPEECH, "input": "Good morning to all of you.", "voice": "longanyang"}
            answers = [
                await http_code(http, f"{gateway.url}/v1/audio/speech", "POST", json=body, headers=headers)
                for _ in range(3)
            ]
            assert answers == [(200, ""), (200, ""), (401, "ticket_used")]
        assert gateway.simulator.requests == 2


# -- limits that change, and numbers that are none ---------------------------------------------------------------------


@pytest.mark.nightly
async def test_a_limit_that_is_lowered_meanwhile_holds_for_what_runs() -> None:
    """It keeps what it was granted, and gets nothing beyond it."""
    limits, lower = Limits(audio_seconds_per_day=1000), Limits(audio_seconds_per_day=20)
    quota = Quota(store="memory:", estimate_seconds=30.0)
    async with bench(speed=90.0, limits=limits, quota=quota) as gateway:
        stream = await ordered(gateway, input={"prompt": "[[scale seconds=90]] a scale that is too long"})
        tenants = [Tenant(id="acme", keys=[key_hash(KEY)], limits=lower)]
        gateway.gateway.reload(msgspec.structs.replace(gateway.gateway._config, tenants=tenants))
        await stream.wait()
        assert stream.error is not None
        assert stream.error.code == "quota_exceeded"
        assert 30.0 <= (await row(gateway))["settled"] < 31.0


def _song(**fields: Any) -> dict[str, Any]:
    return {"input": {"prompt": SCALE}, **fields}


def _speech(**fields: Any) -> dict[str, Any]:
    return {"model": SPEECH, "input": {"text": "Good morning.", "voice": "longanyang", **fields}}


UNBOUGHT = [
    _song(model="fun-music-v9"),
    _song(model="*"),
    _song(mode="FILE"),
    _song(abandon="-1s"),
    _song(abandon="1e9s"),
    _song(abandon="9" * 400 + "s"),
    _song(input={"prompt": SCALE, "seconds": 1, "sample_rate": 8000}),
    _song(input={"prompt": SCALE, "lyrics": "[verse] " * 3}),
    _song(input={"prompt": "\u200b" * 500}),
    _song(input={"lyrics": "[la la la la la la la la la la la] " * 200}),
    _speech(text="... ！！ __ 😀😀"),
    _speech(text="x" * 20_001),
    _speech(rate=0.4999),
    _speech(rate=1e308),
    _speech(rate=-1),
    _speech(volume=101),
    _speech(volume=2**63),
    _speech(seed=-1),
    _speech(sample_rate=0),
    _speech(sample_rate=10**30),
]


async def test_what_could_be_reserved_for_too_little_is_not_bought() -> None:
    """Models that are not there, numbers past their ends, words that are not counted: refused before anything."""
    async with bench(speed=0) as gateway, talk(gateway) as socket:
        for body in UNBOUGHT:
            status, document = await order(gateway, **body)
            assert (status in (400, 422), document["error"]["retryable"]) == (True, False), document
            await say(socket, type="stream.create", **body)
            assert (await receive(socket))["type"] == "error"
        assert (await rows(gateway), gateway.simulator.requests) == ([], 0)


async def test_numbers_that_are_none_are_no_orders() -> None:
    """NaN, infinity, and numbers of a thousand digits, in every place for a number, of orders and of tickets."""
    numbers = ("NaN", "Infinity", "-Infinity", "1e999", "-1", "-1e999", "9" * 1000, '"1"')
    async with bench(speed=0) as gateway:

        async def sent(path: str, text: str) -> int:
            headers = {"Content-Type": "application/json"}
            async with gateway.http.post(gateway.url + path, data=text, headers=headers) as response:
                return response.status

        speech = json.dumps(_speech())[:-2]
        for number in numbers:
            for field in ("rate", "volume", "seed", "sample_rate", "pitch"):
                assert await sent("/v1/streams", f'{speech}, "{field}": {number}}}}}') == 400, (field, number)
            spoken = f'{{"model": "{SPEECH}", "input": "Hello.", "voice": "longanyang", "speed": {number}}}'
            assert await sent("/v1/audio/speech", spoken) == 400, number
            for field in ("ttl_seconds", "uses", "max_audio_seconds"):
                wanted = f'{{"allow": ["create"], "{field}": {number}}}'
                assert await sent("/v1/tickets", wanted) == 400, (field, number)
        assert (await rows(gateway), gateway.simulator.requests) == ([], 0)


# -- one order, made twice ---------------------------------------------------------------------------------------------


async def test_a_key_means_one_order_at_every_door() -> None:
    """With another body, at another door and at once: one is bought, and what is another order is refused."""
    async with bench(speed=0) as gateway, talk(gateway) as socket:
        key = {"Idempotency-Key": "one"}

        async def ask(path: str, body: dict[str, Any]) -> int:
            async with gateway.http.post(gateway.url + path, json=body, headers=key) as response:
                await response.read()
                return response.status

        spoken = {"model": "fun-music-v1", "input": SCALE}
        asked: list[Callable[[], Awaitable[int]]] = [
            lambda: ask("/v1/streams", _song()),
            lambda: ask("/v1/streams", _song(mode="file")),
            lambda: ask("/v1/audio/speech", spoken),
        ]
        answers = await asyncio.gather(*[one() for _ in range(4) for one in asked])
        assert sum(status in (200, 201) for status in answers) == 4, answers
        assert answers.count(409) == 8
        await say(socket, type="stream.create", idempotency_key="one", **_song(share=True))
        assert (await receive(socket))["error"]["code"] == "idempotency_conflict"
        await soon(lambda: gateway.simulator.requests == 1)
        assert len(await rows(gateway)) == 1
