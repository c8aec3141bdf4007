"""The first hour of the handbook, typed as it stands: a tenant, a song, a ticket, a reload and the metrics.

Invariant: what is run is what `deploy/README.md` says between its two marks; only the ports are others, and the
provider that stands in sings faster. It must not know better than the reader: what fails here would fail there.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.house.programs import Program
from tests.house.readme import shell_blocks
from tests.house.tree import ROOT
from tests.support.proxies import free_ports

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


@pytest.mark.nightly
@pytest.mark.timeout(120)
async def test_the_first_hour_goes_as_the_handbook_says(
    process: Callable[..., Awaitable[Program]], need: Callable[[str], str], tmp_path: Path
) -> None:
    """Every command ends well: the song is charged, the guest hears the same bytes, the page's origin is taken up."""
    need("promtool")
    need("curl")
    text = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    walked = text.partition("<!-- walked: begin -->")[2].partition("<!-- walked: end -->")[0]
    script = "\n".join(shell_blocks(walked))
    public, internal, provider = free_ports(3)
    for there, here in (
        ("serve --config my.yaml", f"serve --config my.yaml --port {public} --internal-port {internal}"),
        ("simulate --port 8090", f"simulate --speed 20 --port {provider}"),
        ("wavegate listen", f"wavegate listen --server http://127.0.0.1:{public}"),
        ("wavegate ticket", f"wavegate ticket --server http://127.0.0.1:{public}"),
        (":8080", f":{public}"),
        (":9464", f":{internal}"),
        (":8090", f":{provider}"),
    ):
        assert there in script, f"the handbook says no {there!r} any more"
        script = script.replace(there, here)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    shell = await process(
        "bash",
        "-c",
        f"set -eu; trap 'kill $(jobs -p) && wait' EXIT\n{script}",
        cwd=tmp_path,
        environment={"PATH": path},
    )
    assert await shell.ends(100) == 0, shell.said
    assert '"settled":6.0' in shell.said
    assert '"cost":0.012' in shell.said
    assert "the same bytes" in shell.said
    assert "my.yaml: good" in shell.said
    assert "reloaded" in shell.said
    for metric in ("streams_total", "cost_total", "listener_joins_total"):
        assert f"\nwavegate_{metric}" in shell.said
