"""A gateway that may open no more files, and one that holds more memory than it is granted, as programs.

Invariant under test: who is in hears every byte, newcomers do not wait in the dark, the loop does not spin over those
whom it cannot accept, and all is as before when there is room again. It looks at sockets, answers and processor time.
"""

import asyncio
import os
import resource
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.support.faulty import HEADERS, Start, faulty
from tests.support.gateway import PATIENCE
from tests.support.union import answered

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

LONG = "[[scale seconds=9 speed=6]] a scale for those who are in"
SHORT = "[[scale seconds=2 speed=0]] a scale of two seconds"


def files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor_seconds(pid: int) -> float:
    told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


async def test_no_file_is_left(process: Start, tmp_path: Path) -> None:
    """Of thirty newcomers those for whom there is no file are hung up on; who listens hears on, and all comes back."""
    async with faulty(process, tmp_path, quota={"store": "memory:"}) as there:
        await there.start()
        pid, port = there.program.pid, int(there.public.rpartition(":")[2])
        begun = asyncio.Event()
        song = await there.order(LONG)
        hearing = asyncio.create_task(there.whole(song, begun=begun))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # One more than there are is no promise: a connection of ours may just be going.
        limit = files(pid) + 6
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, most))
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        ends = [asyncio.create_task(reader.read()) for reader, _ in lines]
        async with asyncio.timeout(PATIENCE):
            while sum(end.done() for end in ends) < 20:  # noqa: ASYNC110 - whichever of them
                await asyncio.sleep(0.01)
        assert files(pid) <= limit
        before = processor_seconds(pid)
        began = asyncio.get_running_loop().time()
        await hearing
        took = asyncio.get_running_loop().time() - began
        assert processor_seconds(pid) - before < 0.5 * max(took, 1.0), "it does not spin"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        for _, writer in lines:
            writer.close()
        assert (await there.ask(SHORT))[0] == 201
        assert await there.metric("process_open_fds") > 0
        assert await there.ready() == []
        assert await there.program.stop() == 0
        assert "Traceback" not in there.program.said


@pytest.mark.nightly
async def test_no_memory_is_left(process: Start, tmp_path: Path) -> None:
    """Past the mark that is its own: new songs are refused, the song that is heard is whole, and so is its bill."""
    async with faulty(process, tmp_path) as there:
        await there.start()
        resident = await there.metric("process_resident_memory_bytes")
        await there.program.stop()
        there.settings["server"]["max_memory_bytes"] = round(resident + 24e6)
        await there.start()
        begun = asyncio.Event()
        song = await there.order("[[scale seconds=200 speed=60]] a scale that takes room")
        hearing = asyncio.create_task(there.whole(song, form="wav", begun=begun))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        assert await answered(there.ready, lambda reasons: reasons) == ["memory"]
        status, document = await there.ask(SHORT)
        assert (status, document["error"]["code"]) == (503, "overloaded"), document
        await hearing
        assert (await there.billed(song))["settled"] == 200.0


@pytest.mark.nightly
async def test_the_system_gives_no_memory(process: Start, tmp_path: Path) -> None:
    """Under a limit of address space that it meets: songs fail alone, are billed by what came, and it goes on."""
    async with faulty(process, tmp_path, quota={"lease_seconds": 3.0}) as there:
        await there.start()
        pid = there.program.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_AS)
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
        resource.prlimit(pid, resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + 1_000_000, most))
        bodies = [
            {"input": {"prompt": f"[[scale seconds=240 speed=0]] {n} takes room", "format": "wav"}} for n in "abcd"
        ]
        for body in bodies:
            with suppress(aiohttp.ClientError):
                await there.http.post(f"{there.public}/v1/streams", json=body, headers=HEADERS)
        # Its error is said by the program itself, for an answer may need more than there is.
        await there.program.says("MemoryError", PATIENCE)
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
        ended = ("completed", "failed", "cancelled", "expired")
        rows = await answered(there.usage, lambda given: all(row["status"] in ended for row in given.values()))
        assert all(row["settled"] + row["refunded"] == pytest.approx(row["reserved"]) for row in rows.values())
        song = await there.order(SHORT)
        await there.whole(song)
        assert (await there.billed(song))["settled"] == 2.0
        assert await there.ready() == []
        assert await there.program.stop() == 0
