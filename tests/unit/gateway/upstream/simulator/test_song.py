"""Songs read while they are made.

Invariant tested: readers get the same bytes whenever they come, songs run no further ahead than they may, and failure
and closing reach everybody who waits.
It must not know requests.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.upstream.simulator import song as module
from gateway.upstream.simulator.recipe import Recipe, speech_recipe
from gateway.upstream.simulator.scenario import Scenario
from gateway.upstream.simulator.song import Song, SongFailed

SCALE = Recipe("scale", 4.0, "", "", None, "mp3", 192000, watermark=False, streamed=True)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def scale(seconds: float, file_format: str = "mp3", *, streamed: bool = True) -> Recipe:
    return Recipe("scale", seconds, "", "", None, file_format, 192000, watermark=False, streamed=streamed)


async def read_all(song: Song, size: int) -> bytes:
    data = b""
    while piece := await song.read(len(data), size):
        data += piece
    return data


async def test_all_readers_get_the_same_bytes(pool: ThreadPoolExecutor) -> None:
    """Readers at once and a late one, with different sizes, have the same song."""
    song = Song(SCALE, pool)
    at_once = await asyncio.gather(*(read_all(song, size) for size in (1000, 4800, 100000)))
    assert len({*at_once, await read_all(song, 777), await song.finish()}) == 1
    assert song.whole
    assert song.duration == 4
    assert len(song) == len(at_once[0])


async def test_duration_is_rounded_up(pool: ThreadPoolExecutor) -> None:
    """A begun second counts."""
    song = Song(scale(2.1), pool)
    await song.finish()
    assert song.duration == 3


async def test_a_song_runs_only_a_little_ahead(pool: ThreadPoolExecutor) -> None:
    """After one read, no more is made than the lead; more is made when a reader comes near the edge."""
    song = Song(scale(60), pool)
    await song.read(0, 1000)
    await song._task  # type: ignore[misc]  # until it has caught up
    made = len(song)
    assert not song.working
    assert made < (module.LEAD_SECONDS + 2) * song.bytes_per_second
    await song.read(made, 1000)
    assert len(song) > made
    await song.close()


async def test_a_wav_that_was_not_streamed_knows_its_length(pool: ThreadPoolExecutor) -> None:
    """Once whole, its header tells the size, where the streamed one's says that nobody knows."""
    filed, streamed = Song(scale(1, "wav", streamed=False), pool), Song(scale(1, "wav"), pool)
    one, two = await filed.finish(), await streamed.finish()
    assert int.from_bytes(one[40:44], "little") == 48000 * 4 == len(one) - 44
    assert int.from_bytes(two[40:44], "little") == 0xFFFFFFFF
    assert one[44:] == two[44:]
    assert filed.bytes_per_second == 192000


async def test_failure_reaches_every_reader(pool: ThreadPoolExecutor) -> None:
    """A song that cannot be made says so to those who wait and to those who come later."""
    song = Song(Recipe("scale", 1.0, "", "", None, "mp3", 1, watermark=False, streamed=True), pool)
    results = await asyncio.gather(song.read(10000, 10), song.finish(), return_exceptions=True)
    assert [type(result) for result in results] == [SongFailed, SongFailed]
    assert song.failed
    with pytest.raises(SongFailed):
        await song.read(10000, 10)


async def test_closing_ends_the_wait(pool: ThreadPoolExecutor) -> None:
    """Closing stops after the piece in hand, and waiting readers are told."""
    song = Song(scale(600), pool)
    reader = asyncio.create_task(song.finish())
    await song.read(0, 10)
    await song.close()
    with pytest.raises(SongFailed):
        await reader
    assert not song.working
    await Song(SCALE, pool).close()


async def test_a_reader_does_not_wait_for_ever(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no piece comes in time, the reader gives up."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    gate = threading.Event()
    busy = [pool.submit(gate.wait, 10) for _ in range(2)]
    song = Song(SCALE, pool)
    try:
        with pytest.raises(SongFailed, match="no new piece"):
            await song.read(0, 10)
    finally:
        gate.set()
        await song.close()
    assert all(one.result() for one in busy)


async def test_a_reader_that_leaves_stops_nobody(pool: ThreadPoolExecutor) -> None:
    """Cancelling one reader leaves the others their song."""
    song = Song(SCALE, pool)
    leaving, staying = asyncio.create_task(read_all(song, 100)), asyncio.create_task(read_all(song, 5000))
    await song.read(0, 100)
    leaving.cancel()
    assert len(await staying) == len(await song.finish())


async def test_speech_has_its_own_rate(pool: ThreadPoolExecutor) -> None:
    """Length, bytes a second and a WAV's header are told at the rate and in the channels that it has."""
    scenario = Scenario("scale", seconds=3)
    wav, vbr = (
        Song(
            speech_recipe(text="", voice="a", format=name, sample_rate=22050, streamed=False, scenario=wanted),
            pool,
        )
        for name, wanted in (("wav", scenario), ("mp3", Scenario("scale", seconds=3, vbr=True)))
    )
    data = await wav.finish()
    assert wav.duration == 3
    assert wav.bytes_per_second == 44100
    assert int.from_bytes(data[40:44], "little") == len(data) - 44 == 3 * 44100
    assert int.from_bytes(data[24:28], "little") == 22050
    await vbr.finish()
    assert vbr.duration == 3
    assert vbr.bytes_per_second == pytest.approx(len(vbr) / 3)
