"""Orders that are sent again: by OpenAI's libraries, which count their tries, and under an Idempotency-Key.

Invariant under test: nothing is bought twice, and what was paid for and failed is not tried a third time.
It must not know what fields mean to a model.
"""

import asyncio
import json

import pytest

from gateway.accounting import Grant, Reservation
from gateway.model import Accepted, AudioDelta, Finished
from tests.support.relay import ScriptedLedger
from tests.support.server import OTHER_KEY, soon
from tests.support.speech import AGAIN, AUDIO, FAILURE, FIRST, SONG, desk


async def test_a_retry_that_counts_itself_buys_nothing() -> None:
    """The newest order of the same body and caller is heard from its first byte; a new call buys anew."""
    async with desk(*SONG) as there:
        first = await there.order(FIRST)
        again = await there.order(AGAIN)
        assert again[2] == first[2] == AUDIO
        assert again[1]["X-Request-Id"] == first[1]["X-Request-Id"]
        assert len(there.streams) == 1
        await there.order(FIRST)
        assert len(there.streams) == 2
        await there.order(AGAIN, voice="male")
        assert len(there.streams) == 3, "another body is another order"
        other = await there.order(AGAIN | {"Authorization": f"Bearer {OTHER_KEY}"})
        assert other[0] == 200
        assert len(there.source.songs) == 4, "another caller's is another order"


async def test_a_retry_joins_what_is_still_made() -> None:
    """Its first client had no patience; the second hears all of it."""
    hold = asyncio.Event()
    async with desk(Accepted("r"), hold, AudioDelta(AUDIO), Finished(1.0)) as there:
        asking = asyncio.ensure_future(there.order(FIRST))
        await soon(lambda: bool(there.streams) and there.streams[0].listeners == 1)
        asking.cancel()
        await asyncio.wait([asking])
        again = asyncio.ensure_future(there.order(AGAIN))
        await soon(lambda: there.streams[0].listeners == 1)
        hold.set()
        assert (await again)[2] == AUDIO
        assert len(there.source.songs) == 1


async def test_a_retry_that_overtakes_its_order_buys_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while the ledger still thinks about the first, and waits for it."""
    thinking, hold = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedLedger):
        async def reserve(self, reservation: Reservation) -> Grant:
            thinking.set()
            await hold.wait()
            return await super().reserve(reservation)

    async with desk(*SONG, ledger=Slow()) as there:
        came: list[str] = []
        place = there.room.hub.place
        monkeypatch.setattr(there.room.hub, "place", lambda tenant: came.append(tenant) or place(tenant))
        first = asyncio.ensure_future(there.order(FIRST))
        await thinking.wait()
        again = asyncio.ensure_future(there.order(AGAIN))
        await soon(lambda: len(came) > 1)
        hold.set()
        assert (await first)[2] == (await again)[2] == AUDIO
        assert len(there.source.songs) == 1


async def test_a_retry_of_a_song_that_broke_off_hears_why() -> None:
    """It was paid for as far as it came: the library is told not to try again."""
    async with desk(Accepted("r"), AudioDelta(AUDIO), FAILURE) as there:
        assert (await there.order(FIRST))[2] == b"broken"
        status, headers, body = await there.order(AGAIN)
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_failed")
        assert json.loads(body)["error"]["retryable"] is False
        assert headers["X-Should-Retry"] == "false"
        assert headers["X-Request-Id"] == there.streams[0].id
        assert len(there.source.songs) == 1


async def test_a_retry_of_what_cost_nothing_is_an_order() -> None:
    """A failure before the first sound is free, and a stream that is kept no more cannot be heard."""
    async with desk(Accepted("r"), FAILURE) as there:
        assert (await there.order(FIRST))[0] == (await there.order(AGAIN))[0] == 502
        assert len(there.source.songs) == 2
        for stream in there.streams:
            del there.room.hub._streams[stream.id]
        assert (await there.order(AGAIN))[0] == 502
        assert len(there.source.songs) == 3


async def test_an_idempotency_key_names_an_order() -> None:
    """As at POST /v1/streams; with it nothing else decides. Another body under it is refused."""
    async with desk(*SONG) as there:
        keyed = {"Idempotency-Key": "one"}
        first = await there.order(keyed | FIRST)
        again = await there.order(keyed | FIRST)
        assert again[2] == first[2] == AUDIO
        assert len(there.source.songs) == 1
        assert await there.code(keyed, voice="male") == (409, "idempotency_conflict")
        assert await there.code({"Idempotency-Key": "two words"}) == (400, "invalid_request")
        (stream,) = there.streams
        del there.room.hub._streams[stream.id]
        status, _, body = await there.order(keyed)
        assert (status, json.loads(body)["error"]["code"]) == (404, "stream_not_found")
        assert len(there.source.songs) == 1


async def test_an_idempotency_key_keeps_its_failure() -> None:
    """It names one order, which has failed for good."""
    async with desk(Accepted("r"), FAILURE) as there:
        keyed = {"Idempotency-Key": "one"}
        first, again = await there.order(keyed), await there.order(keyed)
        assert (first[0], "X-Should-Retry" in first[1]) == (502, False)
        assert (again[0], again[1]["X-Should-Retry"]) == (502, "false")
        assert len(there.source.songs) == 1
