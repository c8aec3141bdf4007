"""What a gateway writes into its log, as a test reads it.

Invariant: afterwards the loggers are what they were before.
It must not test anything itself.
"""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TextIO

from gateway.config.secret import Secret
from gateway.log import configure
from gateway.log.setup import LIBRARIES, OURS
from gateway.log.writing import Writer


class Written:
    """The lines so far."""

    def __init__(self, writer: Writer, stream: TextIO) -> None:
        self.writer = writer
        self._stream = stream

    async def settle(self) -> None:
        """Until what was said so far is written."""
        await asyncio.to_thread(self.writer.flush)

    @property
    def text(self) -> str:
        assert isinstance(self._stream, io.StringIO)
        return self._stream.getvalue()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """As JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["event"] == event]


@contextmanager
def restored() -> Iterator[None]:
    """Whatever is set up meanwhile is taken down."""
    loggers = [logging.getLogger(name) for name in (OURS, *LIBRARIES)]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            for handler in set(logger.handlers) - set(handlers):
                handler.close()
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


@contextmanager
def logged(
    level: str = "debug",
    form: Literal["console", "json"] = "json",
    *,
    secrets: Collection[Secret] = (),
    prompts: bool = False,
    stream: TextIO | None = None,
) -> Iterator[Written]:
    """The log of this process, as `wavegate serve` sets it up."""
    target = io.StringIO() if stream is None else stream
    with restored():
        yield Written(configure(level, form, target, secrets=secrets, prompts=prompts, environ={}), target)


@asynccontextmanager
async def logging_of(
    level: str = "debug", form: Literal["console", "json"] = "json", **options: Any
) -> AsyncIterator[Written]:
    """The same around a gateway in this loop, which does not wait for the log."""
    with logged(level, form, **options) as written:
        try:
            yield written
        finally:
            await asyncio.to_thread(written.writer.close)
