"""What every test gets: its loops, the watch over blocking calls, the leak check, and programs to run beside it.

Invariant: an async test fails when our code blocks the loop, and any test fails that leaves a task, a socket or a
thread behind.
It must not know any room of the gateway, beyond which of them are tested on both loops.
"""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.house.blocking import blocking_calls_fail
from tests.house.coverage_floors import Judge
from tests.house.dealing import dealt
from tests.house.leaks import leaked_sockets, leaked_tasks, leaked_threads
from tests.house.parts import Parts
from tests.house.programs import Program
from tests.house.workers import Controller, Worker

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:  # there is none for Windows and PyPy
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop

HERE = Path(__file__).parent
# What touches sockets runs on every loop that is shipped; the rest is the same on each. A whole gateway runs on the one
# that it chooses by itself, and where a test asks for both; by day so do the suites that every adapter has to pass.
ON_EVERY_LOOP = tuple(HERE / folder for folder in ("unit/gateway/server", "contract"))
AS_SHIPPED = HERE / "integration"
AS_SHIPPED_BY_DAY = HERE / "contract"
# Whose tests wait for songs, browsers and servers.
SLOW = tuple(HERE / folder for folder in ("integration", "browser", "bench"))
PARTS = pytest.StashKey[Parts]()
# Examples of a property that does not say itself how many it wants: by day, and where coverage is judged.
EXAMPLES, NIGHTLY_EXAMPLES = 40, 200


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--coverage-floors", type=Path, metavar="JSON", help="judge the report that --cov-report=json wrote"
    )


def pytest_configure(config: pytest.Config) -> None:
    parts = config.stash[PARTS] = Parts(os.environ)
    if config.pluginmanager.hasplugin("hypothesispytest"):
        _describe_properties(NIGHTLY_EXAMPLES if config.getoption("--coverage-floors") else EXAMPLES)
    # Only pytest-xdist's workers have an input. They are given the same arguments, but one process judges.
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(parts, config.workeroutput))
        return
    config.pluginmanager.register(Controller(parts))
    if report := config.getoption("--coverage-floors"):
        config.pluginmanager.register(Judge(report, parts))


def _describe_properties(examples: int) -> None:
    import hypothesis  # it takes a quarter of a second, which a run without it need not wait for

    # A busy machine is no counterexample: the limit of time is the one that every test has.
    hypothesis.settings.register_profile("house", hypothesis.settings(), deadline=None, max_examples=examples)
    hypothesis.settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is collected is garbage: to look through all of it again and again takes an eighth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # In a worker of pytest-xdist; all of them see the same order.
    if shares := getattr(config, "workerinput", {}).get("workercount"):
        items[:] = dealt(items, shares, lambda item: item.path, SLOW)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """The loops a test runs on; `@pytest.mark.asyncio(loop_factories=[...])` chooses for a single test."""
    mark = item.get_closest_marker("asyncio")
    chosen = mark is not None and "loop_factories" in mark.kwargs
    by_day = item.config.getoption("markexpr") == "not nightly" and item.path.is_relative_to(AS_SHIPPED_BY_DAY)
    if chosen or (not by_day and any(item.path.is_relative_to(folder) for folder in ON_EVERY_LOOP)):
        return LOOPS
    best = next(reversed(LOOPS)) if by_day or item.path.is_relative_to(AS_SHIPPED) else "asyncio"
    return {best: LOOPS[best]}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts the watch over the loop first among what an async test sets up, so that it is the last to leave the loop.

    The thread check stays outside of it: an executor's threads end with the loop.
    """
    if pytest_asyncio.is_async_test(item) and "_watched_loop" not in item.fixturenames:
        item.fixturenames.insert(item.fixturenames.index("_no_thread_left") + 1, "_watched_loop")


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    if left := leaked_threads(before):
        pytest.fail(f"left behind: {', '.join(left)}", pytrace=False)


@pytest.fixture
async def _watched_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    if excused := request.node.get_closest_marker("blocking"):
        assert excused.args, "the mark `blocking` takes the reason"
        yield
    else:
        with blocking_calls_fail():
            yield
    if left := [*await leaked_tasks(), *await leaked_sockets()]:
        pytest.fail(f"left behind: {', '.join(left)}", pytrace=False)


@pytest.fixture(scope="session")
def need(pytestconfig: pytest.Config) -> Callable[[str], str]:
    """`need("redis-server")` is the program's path, `need("npm:hls.js")` the package's folder.

    Without it the test is skipped, or fails where `CI` is true.
    """
    return pytestconfig.stash[PARTS].need


@pytest.fixture
async def process() -> AsyncIterator[Callable[..., object]]:
    """`await process(*arguments, cwd=, environment=)` starts a `Program`, which ends with the test at the latest."""
    started: list[Program] = []

    async def start(
        *arguments: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Program:
        started.append(await Program.start(*arguments, cwd=cwd, environment=environment))
        return started[-1]

    yield start
    for program in reversed(started):
        await program.stop()
