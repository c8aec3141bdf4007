"""How the log is set up: one writer on one stream, for `wavegate.*` from a level on and for what libraries warn of.

Invariant: set up again, it replaces what was there before; handlers of others stay.
It must not know what the gateway logs.
"""

import logging
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, TextIO

from gateway.config.secret import Secret
from gateway.log.form import ConsoleForm, JsonForm
from gateway.log.writing import Counts, Writer

OURS = "wavegate"
# Whatever is below us: its warnings belong into the same log, its chatter does not.
LIBRARIES = ("asyncio", "aiohttp", "opentelemetry", "py.warnings", "redis", "urllib3", "websockets")


def configure(
    level: str,
    form: Literal["console", "json"],
    stream: TextIO | None = None,
    *,
    secrets: Collection[Secret] = (),
    prompts: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Writer:
    """Sends `wavegate.*` from `level` (debug, info, warning, error) on to `stream`, standard error by default.

    `secrets` is looked at for every record, so a secret that is added to it later is hidden from then on. `prompts`
    shows the beginning of what people wrote. Raises KeyError for any other level.
    """
    stream = sys.stderr if stream is None else stream
    set_level(level)
    made: JsonForm | ConsoleForm
    if form == "json":
        made = JsonForm(secrets, prompts=prompts)
    else:
        terminal = stream.isatty()
        colour = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        wide = (lambda: _columns(stream)) if terminal else lambda: 0
        made = ConsoleForm(secrets, prompts=prompts, colour=colour, columns=wide)
    writer = Writer(stream, made.line)
    writer.conceal = made.conceal
    for name in (OURS, *LIBRARIES):
        logger = logging.getLogger(name)
        for old in [handler for handler in logger.handlers if isinstance(handler, Writer)]:
            logger.removeHandler(old)
            old.close()
        logger.addHandler(writer)
        logger.propagate = False
    return writer


def set_level(level: str) -> None:
    """From now on this is the least severity that is written. Raises KeyError for one that is none."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    for name in (OURS, *LIBRARIES):
        logging.getLogger(name).setLevel(threshold if name == OURS else max(threshold, logging.WARNING))


def watch(counts: Counts) -> None:
    """Has `counts` told what becomes of records from now on, where the log was set up."""
    for handler in logging.getLogger(OURS).handlers:
        if isinstance(handler, Writer):
            handler.watch = counts


def conceal(secrets: Iterable[Secret]) -> None:
    """From now on these secrets are in no line, where the log was set up: keys that came after its start."""
    for handler in logging.getLogger(OURS).handlers:
        if isinstance(handler, Writer):
            handler.conceal(secrets)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0
