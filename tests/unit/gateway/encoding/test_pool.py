"""The pool: who gets an encode, what is said when there is no room, and that it begins and ends as a whole.

Invariant under test: no worker has more encodes than it may, and the pool leaves nothing when it is left, however.
It must not know codecs; what every pool must do, on processes and on threads, stands in tests/contract.
"""

import asyncio
import itertools

import pytest

from gateway.config.schema import Transcode
from gateway.encoding.pool import EncodingPool, _makers, _processors
from gateway.encoding.process import WorkerProcess
from gateway.encoding.threads import WorkerThread
from gateway.errors import ServiceError, StartError
from metrics.recorder import Recorder
from tests.support.parrots import SPEC, WITHIN, Heard, active, events, parrot_process, parrot_thread
from tests.support.relay import within


def refusal(pool: EncodingPool) -> ServiceError:
    with pytest.raises(ServiceError) as full:
        pool.open(SPEC, Heard())
    assert full.value.code == "transcoding_full"
    with pytest.raises(ServiceError, match=str(full.value)):
        pool.admit()
    return full.value


async def test_the_worker_with_the_fewest_gets_it() -> None:
    """Until all have as many as they may; a close makes room at once."""
    recorder = Recorder()
    async with EncodingPool(Transcode(workers=2, max_encodings=2), recorder, make=parrot_thread()) as pool:
        assert len(pool.workers) == 2
        pool.admit()
        encodes = [pool.open(SPEC, Heard()) for _ in range(4)]
        assert len({id(encode._owner) for encode in encodes[:2]}) == 2
        assert refusal(pool).retry_after == 2.0
        encodes[1].close()
        assert pool.open(SPEC, Heard())._owner is encodes[1]._owner
        assert active(recorder) == 4.0
    assert active(recorder) == 0.0


async def test_without_a_worker_there_is_no_room_for_a_while() -> None:
    """Until the next one is tried and has started."""
    async with EncodingPool(Transcode(workers=1), Recorder(), make=parrot_thread(), chance=lambda: 1.0) as pool:
        sink = Heard()
        pool.open(SPEC, sink)
        for keeper in pool._keepers:
            keeper._lost()
        assert (sink.losses, pool.workers) == (1, [])
        assert refusal(pool).retry_after == 1.0
        pool._keepers[0].retry_at = pool._clock() + 4
        assert 4.0 < (refusal(pool).retry_after or 0.0) < 5.1


async def test_who_has_an_encode_at_the_end_hears_of_it() -> None:
    """And finds no room."""
    sink = Heard()
    async with EncodingPool(Transcode(workers=1), Recorder(), make=parrot_thread()) as pool:
        pool.open(SPEC, sink)
    assert sink.losses == 1
    refusal(pool)


async def test_without_any_worker_it_does_not_begin(caplog: pytest.LogCaptureFixture) -> None:
    """As soon as every worker has failed once."""
    with pytest.raises(StartError, match="no encoding worker"):
        await EncodingPool(Transcode(workers=2), Recorder(), make=parrot_process("false")).__aenter__()
    assert events(caplog) == ["codec.worker_died"] * 2


async def test_it_goes_on_with_those_that_have_started(caplog: pytest.LogCaptureFixture) -> None:
    """One that is too slow is given up, and tried again later."""
    numbers = itertools.count()

    def make(answered: object, lost: object) -> "WorkerProcess | WorkerThread":
        slow = next(numbers) == 0
        maker = parrot_process("sleep", "60") if slow else parrot_thread()
        return maker(answered, lost)  # type: ignore[arg-type, return-value] # passed on as they came

    pool = EncodingPool(Transcode(workers=2), Recorder(), make=make, start_timeout=0.3, chance=lambda: 1.0)  # type: ignore[arg-type] # as above
    async with pool:
        assert len(pool.workers) == 1
        pool.open(SPEC, Heard())
    assert events(caplog)[:2] == ["codec.worker_unready", "codec.worker_died"]


async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    """The leak check of every test watches over the rest."""
    pool = EncodingPool(Transcode(workers=1), Recorder(), make=parrot_process("sleep", "60"), stop_timeout=0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await pool.__aenter__()
    await within(asyncio.sleep(0), WITHIN)
    assert pool.workers == []


async def test_how_many_and_where() -> None:
    """One less than there are processors, each on another one; or two threads, or one."""
    processors = [4, 5, 6]
    made = [make(lambda _: None, lambda: None) for make in _makers(None, processors)]
    assert all(isinstance(worker, WorkerProcess) for worker in made)
    assert len({worker._arguments[-1] for worker in made}) == len(made) == 2  # type: ignore[attr-defined] # a process
    assert len(_makers(None, [3])) == 1
    assert len(_makers(5, processors)) == 5
    threads = [make(lambda _: None, lambda: None) for make in _makers(0, processors)]
    assert all(isinstance(worker, WorkerThread) for worker in threads)
    assert (len(threads), len(_makers(0, [0]))) == (2, 1)
    assert _processors()


async def test_processors_where_there_is_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that there are."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert _processors() == [0, 1, 2]


async def test_what_there_is_room_for_is_told() -> None:
    """By the workers that live, and which of them are processes."""
    async with EncodingPool(Transcode(workers=2, max_encodings=3), Recorder(), make=parrot_thread()) as pool:
        assert (pool.room, pool.pids) == (6, [])
        pool._keepers[0]._lost()
        assert pool.room == 3
    async with EncodingPool(Transcode(workers=1), Recorder(), make=parrot_process()) as pool:
        assert [f"pid {pid}" for pid in pool.pids] == pool.workers
