"""What befalls a gateway on its own machine meanwhile: reloads, with good files and bad ones, and dead codec processes.

Invariant: the last file is the first one again, and was taken; only processes that the gateway started are killed.
It must not know clients, nor the provider.
"""

import asyncio
import json
import os
import signal
from contextlib import suppress
from random import Random
from typing import Any

from gateway.bench.soak.count import Count
from gateway.bench.stage import Server
from gateway.bench.usage import family

PAUSE_SECONDS = (1.0, 5.0)
# A codec process that dies within 30 s of its start is waited for, longer each time; that is not to be seen here.
_KILL_SECONDS = 35.0
_BAD_SHARE = 0.3
_RELOAD_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class Trouble:
    """Of one gateway, whose configuration is the file beside its complaints. `count` is told what was done.

    Something happens after `pauses`, and a process is killed each `kill_seconds`, not more often.
    """

    def __init__(
        self,
        gateway: Server,
        chance: Random,
        count: Count,
        pauses: tuple[float, float] = PAUSE_SECONDS,
        kill_seconds: float = _KILL_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._chance = chance
        self._count = count
        self._pauses = pauses
        self._kill_seconds = kill_seconds
        self._file = gateway.complaints.with_name("wavegate.yaml")
        self._good = self._file.read_text(encoding="utf-8")

    async def go_on(self) -> None:
        """Trouble for ever."""
        loop = asyncio.get_running_loop()
        kill_at = loop.time()
        while True:
            await asyncio.sleep(self._chance.uniform(*self._pauses))
            if loop.time() >= kill_at:
                self.kill()
                kill_at = loop.time() + self._kill_seconds
            else:
                self.reload(self._changed())

    async def end(self) -> None:
        """The first file again; waits until the gateway has taken it, as long as that may take."""
        before = await self._reloads()
        self.reload(self._good)
        loop = asyncio.get_running_loop()
        until = loop.time() + _RELOAD_SECONDS
        while loop.time() < until:
            if await self._reloads() != before:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def reload(self, text: str) -> None:
        """Has the gateway read this."""
        self._file.write_text(text, encoding="utf-8")
        self._count.did("reloaded" if _reads(text) else "reloaded what is wrong")
        os.kill(self._gateway.pid, signal.SIGHUP)

    def kill(self) -> None:
        """A process that encodes or cuts, if there is one."""
        pids = [pid for pid, command in family(self._gateway.pid).items() if "transcode" in command]
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(pids), signal.SIGKILL)
                self._count.did("codec process killed")

    def _changed(self) -> str:
        """One more tenant, another weight for ours; or a mistake."""
        if self._chance.random() < _BAD_SHARE:
            return "relay: {no_such_key: 1}\n"
        document: dict[str, Any] = json.loads(self._good)
        (ours,) = document["tenants"]
        ours["weight"] = self._chance.choice((0.5, 1.0, 2.0))
        document["tenants"] = [ours, {"id": f"other-{self._chance.randrange(100)}"}]
        return json.dumps(document)

    async def _reloads(self) -> str:
        """What the gateway counts of them."""
        metrics = await self._gateway.metrics()
        return "\n".join(line for line in metrics.splitlines() if line.startswith("wavegate_config_reloads_total{"))


def _reads(text: str) -> bool:
    return text.startswith("{")
