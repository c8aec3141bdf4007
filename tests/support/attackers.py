"""What somebody who wants another's songs begins with: credentials, a song to want, a provider who makes nobody wait.

Invariant: a song that is `whole` has been heard to its end, so that all there could be of it is there.
It must not test anything itself.
"""

from typing import Any

from gateway.config.schema import Upstream
from tests.support.gateway import KEY, Bench
from tests.support.guests import http_code

SCALE = "[[scale seconds=2 speed=0]] a scale that somebody else would like to have"
FAST = Upstream(requests_per_minute=6000)


def bearer(key: str) -> dict[str, str]:
    """The header that shows a key, or a ticket."""
    return {"Authorization": f"Bearer {key}"}


async def ordered(gateway: Bench, key: str = KEY) -> dict[str, Any]:
    """A song of this tenant."""
    body = {"input": {"prompt": SCALE}}
    async with gateway.http.post(f"{gateway.url}/v1/streams", json=body, headers=bearer(key)) as response:
        stream: dict[str, Any] = await response.json()
    return stream


async def whole(gateway: Bench, key: str = KEY) -> dict[str, Any]:
    """A finished song of this tenant that was heard in mp3 and by HLS."""
    stream = await ordered(gateway, key)
    for url in (stream["urls"]["audio"], stream["urls"]["hls"], stream["urls"]["hls"].replace("index.m3u8", "0.m4s")):
        assert await http_code(gateway.http, url, headers=bearer(key)) == (200, "")
    return stream
