"""Songs that fall silent at the provider, on a whole gateway: nothing new comes, or nothing but zeros.

Invariant under test: the listener is told, the operator sees it in the numbers and in the table of streams, and both
hear of its end. It must not know how silence is found.
"""

import asyncio

import pytest

from gateway.config.schema import Relay
from tests.support.gateway import PATIENCE, Bench, bench, hear, say, talk

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

SONGS = {
    # For so long that a machine that is busy sees all three at once.
    "still": "[[stall seconds=7 after=1 silence=6 speed=1.5]] a scale that pauses for a while",
    "silence": "[[song seconds=80 mute=1 speed=10]] a song that dies away",
    None: "[[song seconds=8 speed=1]] a song that sounds all the time",
}


async def table(gateway: Bench) -> dict[str, str | None]:
    """What the operator sees of each stream's silence."""
    async with gateway.http.get(f"{gateway.internal}/debug/streams") as response:
        return {row["id"]: row["silent"] for row in (await response.json())["streams"]}


async def test_silence_is_told() -> None:
    """To who hears it, to who runs it, and not of a song that sounds."""
    async with bench(relay=Relay(silence_seconds=1.0)) as gateway:

        async def told(kind: str | None) -> list[str | None]:
            """What a listener is told of silence, each change once."""
            async with talk(gateway) as socket:
                await say(socket, type="stream.create", input={"prompt": SONGS[kind]})
                heard = await hear(socket)
            assert heard.messages[-1]["type"] == "stream.completed"
            said = [message["silent"] for message in heard.messages if "silent" in message]
            return [one for index, one in enumerate(said) if [one] != said[index - 1 : index]]

        listening = asyncio.gather(*[told(kind) for kind in SONGS])
        async with asyncio.timeout(PATIENCE):
            while sorted(str(kind) for kind in (await table(gateway)).values()) != ["None", "silence", "still"]:
                pass
        counted = gateway.gateway.recorder.registry.get_sample_value

        async def now(wanted: list[float]) -> None:
            """Until so many stand still, and so many are silence."""
            async with asyncio.timeout(PATIENCE):
                while [counted("wavegate_streams_stalled", {"kind": kind}) for kind in ("still", "silence")] != wanted:
                    await table(gateway)

        await now([1, 1])
        still, silence, sound = await listening
        assert (still, sound) == (["still", None], [])
        assert silence in (["silence"], ["silence", None]), "its end may be that of the song"
        await now([0, 0])
        assert set((await table(gateway)).values()) == {None}
        for kind in ("still", "silence"):
            assert counted("wavegate_stream_stalls_total", {"model": "fun-music-v1", "kind": kind}) == 1
