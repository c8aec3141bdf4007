"""The table of benches: light enough for every command line, and whole.

Invariant under test: importing it imports no codec, no server and no bench.
It must not know how benches measure.
"""

import io
import subprocess
import sys
from types import ModuleType

import pytest

from gateway.bench import churn, fanout, joins, latency, transcode
from gateway.bench.benches import BENCHES, DONE, Order
from gateway.bench.soak import bench as soak


def test_the_table_costs_nothing_to_import() -> None:
    """`wavegate keys new` waits for no codec."""
    heavy = ("av", "numpy", "aiohttp", "asyncio")
    code = f"import sys, gateway.bench.benches; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("transcode", transcode),
        ("fanout", fanout),
        ("joins", joins),
        ("churn", churn),
        ("latency", latency),
        ("soak", soak),
    ],
)
def test_a_bench_is_called(name: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was ordered."""
    seen: list[object] = []

    def run(*given: object) -> int:
        seen.extend(given)
        return DONE

    monkeypatch.setattr(module, "run", run)
    order, out, err = Order(1.0, 1, (), None, strict=False), io.StringIO(), io.StringIO()
    assert BENCHES[name].run(order, out, err) == DONE
    assert seen == [order, out, err]
