"""One generation's turn at the provider: a place in the governor's queue, then a permit, then nothing.

Invariant: it is given back when its `async with` is left, in whatever way, and at most once; the only wait in it has an
end. News that nobody has fetched are replaced, not collected.
It must not decide anything: who is next, and what news are worth, is the governor's.
"""

import asyncio
from typing import Protocol

from gateway.errors import UpstreamError, WavegateError
from gateway.model import Queued, TenantId
from gateway.upstream.body import soon


class Gate(Protocol):
    """What a turn needs of the governor."""

    def join(self, turn: "Turn") -> None: ...
    def leave(self, turn: "Turn") -> None: ...
    def heard(self, turn: "Turn") -> None: ...
    def finished(self) -> None: ...
    def failed(self, turn: "Turn", error: UpstreamError) -> None: ...
    def busy(self, sentence: str) -> UpstreamError: ...


class Turn:
    """To enter once, to iterate over until it is admitted, and to tell how it went while it is held.

    `again` marks another try of a generation that was admitted before; `patience` is seconds from entering on. `well`
    is None until something is known, `era` what the governor wanted remembered at the admission, `entered` the loop's
    time of the entering.
    """

    def __init__(self, gate: Gate, tenant: TenantId, *, again: bool, patience: float) -> None:
        self.tenant = tenant
        self.again = again
        self.era = 0
        self.well: bool | None = None
        self.entered = 0.0
        self._gate = gate
        self._patience = patience
        self._deadline = 0.0
        self._admitted = False
        self._refusal: WavegateError | None = None
        self._news: Queued | None = None
        self._told: Queued | None = None
        self._waker: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "Turn":
        self.entered = soon(0)
        self._deadline = soon(self._patience)
        self._gate.join(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._gate.leave(self)

    def __aiter__(self) -> "Turn":
        return self

    async def __anext__(self) -> Queued:
        """The next news of the place in the queue; ends when the turn is admitted. Raises UpstreamError,

        and what the governor refuses it with.
        """
        while not self._admitted:
            if self._refusal is not None:
                raise self._refusal
            if self._news is not None and self._news != self._told:
                self._told = self._news
                return self._news
            if soon(0) >= self._deadline:
                raise self._gate.busy("The provider had no room for this generation in time. Try again later.")
            await self._changed()
        raise StopAsyncIteration

    async def _changed(self) -> None:
        self._waker = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._waker
        except TimeoutError:
            pass  # The caller looks at what is, because an admission may have come in the same step of the loop.
        finally:
            self._waker = None

    # -- from the governor -----------------------------------------------------------------------------------------

    def admit(self, era: int) -> None:
        """The wait is over."""
        self._admitted = True
        self.era = era
        self._wake()

    def tell(self, news: Queued) -> None:
        """This is the place now."""
        self._news = news
        if news != self._told:
            self._wake()

    def refuse(self, error: WavegateError) -> None:
        """The wait is over, and nothing comes of it."""
        self._refusal = error
        self._wake()

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    # -- to the governor -------------------------------------------------------------------------------------------

    def heard(self) -> None:
        """The first sound has come."""
        if self.well is None:
            self.well = True
            self._gate.heard(self)

    def finished(self) -> None:
        """The generation is whole."""
        self._gate.finished()

    def failed(self, error: UpstreamError) -> None:
        """The generation has ended in this error."""
        self.well = False
        self._gate.failed(self, error)
