"""What encodes hold, with workers whose size is made up.

Invariant under test: the figure is for one encode, and threads or processes that stay are told.
It must not start a worker: that is tried with the whole bench.
"""

from collections.abc import Sequence

import pytest

from gateway.bench import memory
from gateway.bench.song import Song
from transcode.spec import EncoderSpec

SONG = Song((b"frame",) * 30, 48_000, 0.024)


async def test_each_codec_has_its_own_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """FLAC may hold more."""

    async def opened(spec: EncoderSpec, steps: Sequence[bytes], encodes: int) -> tuple[int, int]:
        return encodes * 2_000_000, 3 if spec.codec == "flac" else 0

    monkeypatch.setattr(memory, "opened", opened)
    told: list[str] = []
    found = await memory.measure(SONG, ["opus", "flac"], 4, told.append)
    assert told == ["opus", "flac"]
    assert [(row.value, row.verdict) for row in found] == [(2.0, "over"), (2.0, "ok"), (3, "over")]
