"""Titles inside the sound, on a whole gateway: each is at the sound that it names, whoever joins when.

Invariant under test: by what an ear makes of the bytes before it, a title is within 100 ms of where its sound begins.
It must not know how titles are placed.
"""

import asyncio
from typing import Any

import pytest

from gateway.model import TenantId
from tests.support.gateway import Bench, bench
from tests.support.icy import Radio, parsed
from tests.support.server import soon
from tests.support.sound import RATE, samples, steps

SECONDS = 6
SONG = f"[[scale seconds={SECONDS} speed=4]] a scale with a title for some of its steps"
# A step of the scale is half a second, and each of these titles begins with one.
NAMED = (1, 2, 5, 7, 10)
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])
ICY = {"Icy-MetaData": "1"}


async def radio(gateway: Bench, url: str) -> tuple[Radio, Any]:
    async with gateway.http.get(url, headers=ICY) as response:
        assert response.status == 200
        body = await response.read()
        return parsed(body, int(response.headers["icy-metaint"])), response.headers


def check(heard: Radio, form: str) -> list[int]:
    """Compares where each title stands with where its step is heard; gives the steps that had one."""
    sound = dict(steps(samples(heard.audio, form)))
    named = []
    for at, title in heard.titles[1:]:
        step = int(title.removeprefix("step "))
        before = len(samples(heard.audio[:at], form)) / RATE
        assert abs(before - sound[step]) <= 0.1, (title, before, sound[step])
        named.append(step)
    return named


@pytest.mark.parametrize("form", ["mp3", "aac"])
async def test_titles_are_where_their_sound_is(form: str) -> None:
    """For who was there before the first sound, who comes late or to the live edge, and who comes afterwards."""
    async with bench() as gateway:
        created = await gateway.create(f"A calm river\n{SONG}")
        stream = gateway.gateway.hub.get(TenantId("acme"), created["id"])
        for step in NAMED:
            stream.titles.begin(step / 2, f"step {step}")
        url = f"{gateway.url}/v1/streams/{stream.id}/audio.{form}"
        early = asyncio.create_task(radio(gateway, url))
        await soon(lambda: stream.received_seconds >= 3.2)
        late, live = await asyncio.gather(radio(gateway, url), radio(gateway, f"{url}?since=live"))
        (first, headers), (second, _), (edge, _) = await early, late, live
        third, _ = await radio(gateway, url)
        for heard in (first, second, third):
            assert heard.audio == first.audio
            assert check(heard, form) == list(NAMED)
            assert heard.titles[0][1] == "A calm river"
        assert first.audio.endswith(edge.audio)
        assert edge.titles[0][1] in ("step 1", "step 2", "step 5"), "what sounded two seconds ago"
        assert check(edge, form)[-2:] == list(NAMED[-2:])
        assert headers["Content-Type"] == ("audio/mpeg" if form == "mp3" else "audio/aac")
        assert headers["icy-name"] == "step 10"


@pytest.mark.parametrize("form", ["ogg", "webm", "mp4", "flac", "wav", "pcm"])
async def test_what_has_no_room_for_titles_has_none(form: str) -> None:
    """The same bytes as without a wish for them, live and whole, and no word of blocks."""
    async with bench() as gateway:
        created = await gateway.create("[[scale seconds=2 speed=10]] a scale without any titles")
        url = f"{gateway.url}/v1/streams/{created['id']}/audio.{form}"

        async def fetch(headers: dict[str, str]) -> tuple[bytes, bool]:
            async with gateway.http.get(url, headers=headers) as response:
                return await response.read(), "icy-metaint" in response.headers

        bodies = [*await asyncio.gather(fetch(ICY), fetch({})), await fetch(ICY)]
        assert len({body for body, _ in bodies}) == 1
        assert not any(titles for _, titles in bodies)
