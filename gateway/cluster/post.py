"""Questions and news between nodes: who asks is answered in bounded time, or told that it was not.

Invariant: a question ends with its answer, the other side's own refusal, or `cluster_unavailable`: at its deadline,
when its node dies, or at once where nobody lives there. It may have been acted on all the same. As many handlers run
at a time as may, each no longer than its asker waits; one that breaks answers `internal` and harms no other.
It must not know how letters travel, nor what they say.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.cluster.letter import Letter, Refusal, read, write
from gateway.errors import ServiceError, WavegateError
from gateway.log import event

logger = logging.getLogger("wavegate.cluster")

Handler = Callable[[str, bytes], Awaitable[bytes]]

ASK_SECONDS = 5.0
# For what is only told nobody waits.
TOLD_SECONDS = 30.0
ANSWER_TRIES = 4
MOST_HANDLERS = 256
STOPS = "can be asked no more, for this one stops"
LETTER_OCTETS = 4 << 20


class Send(Protocol):
    """Sends a letter to a node, and calls `undelivered` where it did not get there, or not for sure.

    More `tries` than one may take it there more than once.
    """

    def __call__(
        self, node: str, octets: bytes, undelivered: Callable[[], None] = ..., tries: int = ..., /
    ) -> None: ...


class Post:
    """`tasks` hold the handlers; who closes them has to end those that run."""

    def __init__(self, node: str, send: Send, tasks: asyncio.TaskGroup, *, ask_seconds: float = ASK_SECONDS) -> None:
        self._node = node
        self._send = send
        self._tasks = tasks
        self._ask_seconds = ask_seconds
        self._handlers: dict[str, Handler] = {}
        self._asked: dict[int, tuple[str, asyncio.Future[Letter | WavegateError]]] = {}
        self._number = 0
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def on(self, kind: str, handler: Handler) -> None:
        """Has letters of this kind answered by `await handler(sender, body)`. Raises ValueError where one does so."""
        if kind in self._handlers:
            raise ValueError(f"letters of this kind are answered already: {kind}")
        self._handlers[kind] = handler

    # -- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, node: str, kind: str, body: bytes, seconds: float | None = None) -> bytes:
        """The answer. Raises what the other side raised, ServiceError, and ValueError for more than 4 MiB."""
        if self._closed:
            raise _unavailable(STOPS)
        seconds = self._ask_seconds if seconds is None else seconds
        self._number += 1
        number = self._number
        octets = self._written(Letter(self._node, kind, number, body, seconds=seconds))
        answer: asyncio.Future[Letter | WavegateError] = asyncio.get_running_loop().create_future()
        self._asked[number] = (node, answer)
        try:
            async with asyncio.timeout(seconds):
                self._send(node, octets, lambda: _set(answer, _unavailable("cannot be reached")))
                given = await answer
        except TimeoutError:
            raise _unavailable("has not answered in time") from None
        finally:
            del self._asked[number]
        if isinstance(given, WavegateError):
            raise given
        if given.refusal is not None:
            raise given.refusal.error()
        return given.body

    def tell(self, node: str, kind: str, body: bytes) -> None:
        """Without an answer; it may be lost. Raises ValueError for more than 4 MiB."""
        self._send(node, self._written(Letter(self._node, kind, 0, body)))

    def _written(self, letter: Letter) -> bytes:
        octets = write(letter)
        if len(octets) > LETTER_OCTETS:
            raise ValueError(f"a letter of {len(octets)} octets is too long")
        return octets

    def lost(self, node: str) -> None:
        """That node is dead: it answers nothing any more."""
        for asked, answer in self._asked.values():
            if asked == node:
                _set(answer, _unavailable("has died"))

    # -- answering -------------------------------------------------------------------------------------------------

    def letter(self, octets: bytes) -> None:
        """One that came."""
        letter = read(octets)
        if letter is None:
            event(logger, "cluster.letter_unreadable", bytes=len(octets))
        elif not letter.kind:
            # Whoever asked may have stopped waiting.
            if (asked := self._asked.get(letter.number)) is not None and asked[0] == letter.sender:
                _set(asked[1], letter)
        elif len(self._running) < MOST_HANDLERS:
            task = self._tasks.create_task(self._handle(letter), name=f"cluster letter {letter.kind}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        else:
            busy = ServiceError("overloaded", "A node of this gateway has too much to answer.", retry_after=1.0)
            self._answer(letter, Letter(self._node, "", letter.number, refusal=Refusal.of(busy)))

    async def _handle(self, letter: Letter) -> None:
        try:
            async with asyncio.timeout(letter.seconds if letter.number else TOLD_SECONDS):
                body = await self._handler(letter.kind)(letter.sender, letter.body)
            answer = Letter(self._node, "", letter.number, body)
        except WavegateError as error:
            answer = Letter(self._node, "", letter.number, refusal=Refusal.of(error))
        except TimeoutError:
            answer = Letter(self._node, "", letter.number, refusal=Refusal.of(_unavailable("has not done it in time")))
        except Exception:
            event(logger, "cluster.letter_failed", exc_info=True, kind=letter.kind)
            answer = Letter(self._node, "", letter.number, refusal=Refusal.of(_broken()))
        self._answer(letter, answer)

    def _handler(self, kind: str) -> Handler:
        try:
            return self._handlers[kind]
        except KeyError:
            raise _unavailable("does not know how to do this") from None

    def _answer(self, letter: Letter, answer: Letter) -> None:
        if not letter.number:
            return
        try:
            octets = self._written(answer)
        except ValueError:
            event(logger, "cluster.answer_unsent", exc_info=True, kind=letter.kind)
            octets = write(Letter(self._node, "", letter.number, refusal=Refusal.of(_broken())))
        # To have it twice harms nobody, to have it never costs the asker all the time that it has.
        self._send(letter.sender, octets, lambda: None, ANSWER_TRIES)

    def close(self) -> None:
        """Ends what runs, and what waits for an answer."""
        self._closed = True
        for task in self._running:
            task.cancel()
        for _, answer in self._asked.values():
            _set(answer, _unavailable(STOPS))


def _set(answer: asyncio.Future[Letter | WavegateError], value: Letter | WavegateError) -> None:
    if not answer.done():
        answer.set_result(value)


def _unavailable(why: str) -> ServiceError:
    sentence = f"Another node of this gateway {why}: try again in a moment."
    return ServiceError("cluster_unavailable", sentence, retry_after=1.0)


def _broken() -> ServiceError:
    return ServiceError("internal", "Something broke in another node of this gateway; its log says what.")
