"""The flight recorder and its replay on real parts: what the provider once did can be heard again, exactly.

Invariant under test: a recording gives the same bytes and the same ending as the generation it was made of, and holds
neither the key nor the words.
"""

from pathlib import Path

import pytest

from gateway.config.schema import Upstream
from tests.support.gateway import PROVIDER_KEY, bench, hear, say, talk


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.blocking("the test itself looks at the files that were written")
@pytest.mark.parametrize(
    ("scenario", "code"),
    [("scale seconds=3 speed=0 slice=5000", None), ("scale seconds=3 speed=0 cut after=1", "upstream_interrupted")],
)
async def test_a_recorded_generation_is_heard_again(scenario: str, code: str | None, tmp_path: Path) -> None:
    """Through a gateway whose provider is the recording, the song or its failure is the same to the last byte."""
    upstream = Upstream(record_dir=str(tmp_path), requests_per_minute=60_000)
    prompt = f"[[{scenario}]] a secret garden in the rain"
    async with bench(upstream=upstream) as gateway, talk(gateway) as socket:
        await say(socket, type="stream.create", input={"prompt": prompt})
        first = await hear(socket)
    (file,) = [path for path in tmp_path.iterdir() if path.is_file()]
    text = file.read_bytes()
    assert PROVIDER_KEY.encode() not in text
    assert b"garden" not in text
    async with bench(upstream=Upstream(requests_per_minute=60_000), replay=file) as gateway, talk(gateway) as socket:
        await say(socket, type="stream.create", input={"prompt": "any words at all will do"})
        again = await hear(socket)
    assert again.audio == first.audio
    assert again.messages[-1].get("error", {}).get("code") == code
    assert first.messages[-1].get("error", {}).get("code") == code
