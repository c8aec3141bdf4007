"""A budget that ends with a fade: what is heard of it in the provider's own format and in one that is made of it.

Invariant under test: untouched up to the fade, quieter and quieter in it, silent at the budget's end, with the reason
told. It looks at the sound alone.
"""

import asyncio
import io

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.config.schema import Limits, Quota
from tests.support.gateway import Bench, bench

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

RATE = 48000
SONG = "[[scale seconds=40 speed=20 slice=4000]] a scale that is longer than the budget"


async def sound(gateway: Bench, stream_id: str, form: str) -> NDArray[np.float32]:
    """What a listener hears over HTTP, as (channels, samples)."""
    async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.{form}") as answer:
        body = await answer.read()
    with av.open(io.BytesIO(body), format=form) as container:
        resampler = av.AudioResampler("fltp", "stereo", RATE)
        return np.concatenate(
            [made.to_ndarray() for frame in container.decode(audio=0) for made in resampler.resample(frame)], axis=1
        )


async def both(limits: Limits, form: str) -> list[NDArray[np.float32]]:
    """The song in its own format and as flac, heard while it is made."""
    quota = Quota(store="memory:", minimum_seconds=5.0, budget_end="fade")
    async with bench(limits=limits, quota=quota) as gateway:
        stream = await gateway.create(SONG, format=form)
        heard = await asyncio.gather(*[sound(gateway, stream["id"], one) for one in (form, "flac")])
        ended = await gateway.info(stream["id"])
        assert (ended["error"] or {}).get("code") == ("quota_exceeded" if limits.audio_seconds_per_day == 12 else None)
        return heard


@pytest.mark.parametrize("form", ["mp3", "wav"])
async def test_a_budget_that_ends_fades_out_where_that_is_wished(form: str) -> None:
    """Twelve seconds of forty, the last three on a straight line to nothing."""
    whole = await both(Limits(audio_seconds_per_day=0), form)
    short = await both(Limits(audio_seconds_per_day=12), form)
    for before, after in zip(whole, short, strict=True):
        assert after.shape[1] < 13 * RATE
        assert np.allclose(before[:, : int(8.9 * RATE)], after[:, : int(8.9 * RATE)], atol=1e-4)
        for second in (9.5, 10.0, 10.5, 11.0, 11.5):
            part = slice(int((second - 0.1) * RATE), int((second + 0.1) * RATE))
            loud, quiet = (float(np.sqrt(np.mean(np.square(one[:, part])))) for one in (before, after))
            assert quiet == pytest.approx(loud * (12 - second) / 3, rel=0.2), second
        assert np.abs(after[:, int(12.1 * RATE) :]).max(initial=0.0) < 1e-3
