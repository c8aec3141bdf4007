"""Songs to probe without a socket: small MP3s and WAVs, and purchases that went as a test says.

Invariant: nothing here opens a connection; what a purchase holds came through the same doors as a real one's.
It must not know what is found out about it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Finished, Mode, SongInput, SongRequest
from gateway.protocol.dashscope import delta_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.keys import ProviderKey
from gateway.upstream.probe.purchase import Answer, Purchase
from tests.support.relay import mp3_frames
from tests.support.wire import stop_payload

PROMPT = "nobody may read of this rain"
URL = "http://bucket.oss.aliyuncs.com/song.mp3?Signature=sesame"

Bought = Callable[..., Purchase]


@pytest.fixture
def bought() -> Bought:
    """`bought(slices)` is a purchase whose slices came at the seconds that are their keys."""

    def make(
        slices: dict[float, bytes] | None = None,
        *,
        model: str = "fun-music-v1",
        form: str = "mp3",
        whole: bool = True,
        comments: tuple[float, ...] = (),
        headers: dict[str, str] | None = None,
        status: int = 200,
        simulated: bool = False,
        file: bytes | None = None,
        failure: UpstreamError | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Purchase:
        song = SongRequest(model, Mode.STREAM, SongInput(prompt=PROMPT, format=form))
        purchase = Purchase(Upstream(**(settings or {})), ProviderKey("sk-not-to-be-told"), song)
        marks, log = purchase.marks, purchase.log
        purchase.answer = Answer("HTTP/1.1", status, headers or {}, ["vary"], simulated)
        given = mp3_song() if slices is None else slices
        marks.connected, marks.sent, marks.answered, marks.ended = 0.1, 0.2, 0.5, max(given, default=1.0) + 0.5
        said = [
            (at, encode_event(1, "result", 200, delta_payload(request_id="r1", expires_at=1, data=data)))
            for at, data in given.items()
        ]
        for at, data in sorted([*said, *((at, b":\n\n") for at in comments)]):
            log.feed(at, data)
        if whole:
            facts: dict[str, Any] = {"channels": 2, "sample_rate": "44100", "lyrics": "la la", "duration": 200}
            payload = stop_payload(request_id="r1", expires_at=1_800_000_000, url=URL, **facts)
            log.feed(marks.ended, encode_event(2, "result", 200, payload))
            purchase.finished = Finished(200.0, 44100, 2, "la la", URL)
            purchase.interrupted = False
        purchase.failure, purchase.file = failure, file
        if failure is not None:
            purchase.interrupted = False
        if file is not None:
            marks.fetched = marks.ended + 0.5
        return purchase

    return make


def mp3_song() -> dict[float, bytes]:
    """Four slices of ten whole frames each, a second apart."""
    frames = mp3_frames(40)
    return {float(second): b"".join(frames[second * 10 - 10 : second * 10]) for second in range(1, 5)}
