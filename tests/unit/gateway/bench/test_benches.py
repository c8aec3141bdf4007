"""The table of benches: light enough for every command line, and whole.

Invariant under test: importing it imports no codec, no server and no bench.
It must not know how benches measure.
"""

import io
import subprocess
import sys

import pytest

from gateway.bench import transcode
from gateway.bench.benches import BENCHES, DONE, Order


def test_the_table_costs_nothing_to_import() -> None:
    """`wavegate keys new` waits for no codec."""
    heavy = ("av", "numpy", "aiohttp", "asyncio")
    code = f"import sys, gateway.bench.benches; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout == "[]\n"


def test_the_bench_of_the_transcoder_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was ordered."""
    seen: list[object] = []

    def run(*given: object) -> int:
        seen.extend(given)
        return DONE

    monkeypatch.setattr(transcode, "run", run)
    order, out, err = Order(1.0, 1, (), None, strict=False), io.StringIO(), io.StringIO()
    assert BENCHES["transcode"].run(order, out, err) == DONE
    assert seen == [order, out, err]
