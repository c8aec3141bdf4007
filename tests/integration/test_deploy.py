"""The container and the unit in deploy/: what can be judged without an engine and a running systemd.

Invariant under test: a Dockerfile copies what is there, and from what is locked; a health check tells health; each file
for others than us passes the judge of those it is for. It must not test what a gateway does with its settings.
"""

import asyncio
import fnmatch
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.server import Server
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import bench

Start = Callable[..., Awaitable[Program]]
Need = Callable[[str], str]

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker/Dockerfile"
UNIT = DEPLOY / "systemd/wavegate.service"
CONFIGURATIONS = ("docker/container.yaml", "compose/wavegate.yaml", "kubernetes/config/wavegate.yaml")
# Of 10; what is left is the network, which a gateway needs.
EXPOSURE = 1.5


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, cwd=cwd)


# -- the container ---------------------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say() -> None:
    """And has, where a version is not pinned or root is left."""
    program = Path(sys.executable).with_name("hadolint")
    judged = run(program, DOCKERFILE)
    assert (judged.returncode, judged.stdout) == (0, "")
    worse = subprocess.run(
        [program, "-"], input="FROM debian\nRUN cd /tmp\n", check=False, capture_output=True, text=True, timeout=30
    )
    assert "DL3006" in worse.stdout


def _let_in(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore lets this file in: the last pattern that fits it, or a folder above it, counts."""
    inside = True
    for pattern in patterns:
        name = pattern.removeprefix("!")
        places = [path, *(str(above) for above in Path(path).parents)]
        if any(fnmatch.fnmatch(place, name) or fnmatch.fnmatch(f"/{place}", name) for place in places):
            inside = pattern.startswith("!")
    return inside


def test_what_it_copies_is_there_and_nothing_else() -> None:
    """Every source exists and is let in; keys, ledgers, tests and what Python compiled are not."""
    lines = (DEPLOY / "docker/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    text = DOCKERFILE.read_text(encoding="utf-8")
    sources = [
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert {"gateway", "transcode", "metrics", "pyproject.toml", "deploy/requirements.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert _let_in(source, patterns), source
    for other in ("usage.db", ".git/config", "tests/conftest.py", "deploy/compose/simulated.key", ".venv-tests/stamp"):
        assert not _let_in(other, patterns), other
    assert not _let_in("gateway/__pycache__/app.cpython-311.pyc", patterns)
    assert _let_in("gateway/web/index.html", patterns)


def test_what_builds_it_is_what_the_tests_install() -> None:
    """The build's lock is cut out of the tests' lock: same versions, same hashes, all that hatchling needs."""

    def locked(path: Path) -> dict[str, set[str]]:
        blocks = re.split(r"^(?=[A-Za-z0-9_.-]+==)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        return {block.split()[0]: set(re.findall(r"sha256:\w{64}", block)) for block in blocks}

    build, tests = locked(DEPLOY / "docker/build-requirements.txt"), locked(ROOT / "tests/requirements.txt")
    assert {name.partition("==")[0] for name in build} == {
        "hatchling",
        "packaging",
        "pathspec",
        "pluggy",
        "trove-classifiers",
    }
    for name, hashes in build.items():
        assert hashes, name
        assert tests[name] == hashes, f"{name} is another one than the tests install"


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_health_check_tells_health(process: Start, tmp_path: Path) -> None:
    """0 for a gateway that answers, 1 with the reason for one that drains, and for none."""
    # As it is in the image: alone, and run by a Python that has nothing of ours.
    file = tmp_path / "healthcheck.py"
    await asyncio.to_thread(file.write_text, (DEPLOY / "docker/healthcheck.py").read_text(encoding="utf-8"))

    async def check(port: str, *arguments: str) -> tuple[int, str]:
        environment = {"WAVEGATE__SERVER__INTERNAL_PORT": port}
        program = await process(sys.executable, "-I", file, *arguments, environment=environment)
        return await program.ends(), program.said

    async with bench(server=Server(port=0, internal_port=0, drain_timeout=0.1)) as gateway:
        port = gateway.internal.rpartition(":")[2]
        assert set(await asyncio.gather(check(port), check(port, "/readyz"))) == {(0, "")}
        await gateway.gateway.drain()
        well, (code, said) = await asyncio.gather(check(port), check(port, "/readyz"))
        assert well == (0, "")
        assert (code, "draining" in said) == (1, True)
    assert (await check(port))[0] == 1


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_configurations_are_good(name: str) -> None:
    """As `wavegate check-config` reads them; the internal port is open, for it is published nowhere."""
    config = load(DEPLOY / name, {}).config
    assert (config.server.host, config.server.internal_host) == ("0.0.0.0", "0.0.0.0")
    assert (config.server.port, config.server.internal_port) == (8080, 9464)
    assert config.log.format == "json"


# -- the unit --------------------------------------------------------------------------------------------------------


def _unit(folder: Path, *, without: str = "") -> Path:
    """The unit with a program that is here, in place of one that will be there."""
    text = UNIT.read_text(encoding="utf-8")
    (program,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert without in text
    file = folder / UNIT.name
    text = text.replace(program, sys.executable).replace(without, "")
    file.write_text(text, encoding="utf-8")
    return file


def test_systemd_takes_the_unit_and_the_socket(need: Need, tmp_path: Path) -> None:
    """Without a word; a key that it does not know is told."""
    analyze = need("systemd-analyze")
    socket = tmp_path / "wavegate.socket"
    socket.write_text((DEPLOY / "systemd/wavegate.socket").read_text(encoding="utf-8"), encoding="utf-8")
    unit = _unit(tmp_path)
    judged = run(analyze, "verify", "--man=no", unit, socket)
    assert (judged.returncode, judged.stderr) == (0, "")
    unit.write_text(unit.read_text(encoding="utf-8").replace("[Service]", "[Service]\nNoNewPrivilege=yes"))
    assert "NoNewPrivilege" in run(analyze, "verify", "--man=no", unit).stderr


def test_the_unit_is_hardened(need: Need, tmp_path: Path) -> None:
    """By systemd's own measure, which sees it when a protection goes."""

    def exposure(**changes: str) -> float:
        judged = run(need("systemd-analyze"), "security", "--offline=true", "--no-pager", _unit(tmp_path, **changes))
        found = re.search(r"Overall exposure level for wavegate.service: ([\d.]+)", judged.stdout)
        assert found, judged.stdout + judged.stderr
        return float(found[1])

    assert exposure() <= EXPOSURE
    assert exposure(without="CapabilityBoundingSet=\n") > EXPOSURE


def test_what_the_unit_promises_is_what_the_gateway_does() -> None:
    """Its times, its signal, and its exit codes are those of the configuration and of the command line."""
    said = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE))
    server = Server()
    assert (said["Type"], said["NotifyAccess"]) == ("notify", "main")
    assert int(said["TimeoutStopSec"]) >= server.drain_delay + server.drain_timeout + 15
    assert said["KillSignal"] == signal.SIGTERM.name
    assert said["ExecReload"].endswith("kill -HUP $MAINPID")
    assert int(said["LimitNOFILE"]) >= 2 * server.max_connections
    # What systemd puts in place of these.
    text = UNIT.read_text(encoding="utf-8").replace("%d", "/run/credentials/x").replace("%S", "/var/lib")
    config = load(
        DEPLOY / "wavegate.yaml", dict(re.findall(r"^Environment=(WAVEGATE__\w+)=(.*)$", text, re.MULTILINE))
    ).config
    assert config.upstream.api_key_file == "/run/credentials/x/dashscope.key"
    assert config.quota.store == f"sqlite:////var/lib/{said['StateDirectory']}/usage.db"


# -- the table -------------------------------------------------------------------------------------------------------


def test_every_file_says_how_it_is_tested() -> None:
    """The handbook's table has a row for each file of deploy/, or for a folder that it is in."""
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    table = text.partition("## What is tested, and what is not")[2]
    rows: list[str] = re.findall(r"^\|(.*?)\|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)} | {"README.md"}
    there = [path.relative_to(DEPLOY) for path in DEPLOY.rglob("*") if path.is_file()]
    shown = [path for path in there if not any(part.startswith(".") or part == "__pycache__" for part in path.parts)]
    assert len(shown) > 30
    silent = [
        str(path)
        for path in shown
        if str(path) not in named and not any(f"{above}/" in named for above in path.parents)
    ]
    assert not silent
    gone = [name for name in named if not (DEPLOY / name).exists()]
    assert not gone
