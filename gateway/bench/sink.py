"""One encode to await: steps in, what came of them out, without a stream around it.

Invariant: every wait ends, with an answer or an error.
It must not know what is measured.
"""

import asyncio

from gateway.encoding.encode import Encode
from gateway.encoding.pool import EncodingPool
from gateway.errors import ServiceError, WavegateError
from transcode.packet import Encoded
from transcode.spec import EncoderSpec

_TIMEOUT = 20.0


class Encoding:
    """An encode of `spec` in one of the pool's workers."""

    def __init__(self, pool: EncodingPool, spec: EncoderSpec) -> None:
        self._answer: asyncio.Future[Encoded] = asyncio.get_running_loop().create_future()
        self._encode: Encode = pool.open(spec, self)

    async def step(self, data: bytes) -> Encoded:
        """Has these bytes encoded. Raises WavegateError, TimeoutError."""
        self._answer = asyncio.get_running_loop().create_future()
        self._encode.step(data)
        return await asyncio.wait_for(self._answer, _TIMEOUT)

    def close(self) -> None:
        """It is needed no more."""
        self._encode.close()

    # -- called by the encode ------------------------------------------------------------------------------------------

    def encoded(self, result: Encoded) -> None:
        self._answer.set_result(result)

    def failed(self, error: WavegateError) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)

    def lost(self) -> None:
        self.failed(ServiceError("internal", "The worker has died."))


def process_id(pool: EncodingPool) -> int:
    """That of the pool's only worker."""
    (name,) = pool.workers
    return int(name.removeprefix("pid "))
