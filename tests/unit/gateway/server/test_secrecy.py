"""What is in a process's memory and environment is read by nobody else, and lands in no core file.

Invariant under test: another process of the same user is refused, the process itself goes on as before. Root's rights
are given up first, where the tests run as root: root may read everything.
It must not know secrets.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.server import secrecy

KEY = "sk-in-the-environment-0123456789"
PR_CAPBSET_DROP = 24
# A process that keeps its memory to itself, or not, and then a child of it that tries to read it. Neither has any
# capability: a user without them, as in every way to install it.
PROGRAM = f"""
import ctypes, os, resource, subprocess, sys
if sys.argv[1] == "child":
    for name in ("environ", "mem", "maps"):
        try:
            with open(f"/proc/{{os.getppid()}}/{{name}}", "rb") as file:
                print(name, "open", file.read(0 if name == "mem" else -1).count({KEY.encode()!r}))
        except OSError as error:
            print(name, type(error).__name__)
    sys.exit()
if sys.argv[2] == "dropped":
    from gateway.server.secrecy import keep_memory
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    if sys.argv[1] != "open":
        keep_memory()
        with open("/proc/self/statm") as file:
            assert file.read()
        assert os.listdir("/proc/self/fd") and os.listdir("/proc/self/task")
    print("core", resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
    subprocess.run([sys.executable, "-c", sys.argv[3], "child"], check=True, timeout=20)
    sys.exit()
if os.geteuid() == 0:
    for capability in range(64):
        ctypes.CDLL(None).prctl({PR_CAPBSET_DROP}, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], sys.argv[1], "dropped", sys.argv[3]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what others may read is told by Linux alone")
@pytest.mark.parametrize("how", ["kept", "open", "shown"])
def test_nobody_else_reads_it(how: str) -> None:
    """A child of the same user, which an unkept one lets in: that the test sees the difference is part of it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, "", PROGRAM],
        env={"DASHSCOPE_API_KEY": KEY, "PYTHONPATH": ":".join(sys.path), secrecy.SHOWN: "1" if how == "shown" else ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    if how != "kept":
        assert said["environ"] == "open 1"
        assert (said["core"] == "0") == (how == "shown")
    else:
        assert said == {"core": "0", "environ": "PermissionError", "mem": "PermissionError", "maps": "PermissionError"}


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_another_system_goes_on(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to ask of it, and nothing goes wrong."""
    monkeypatch.setattr(sys, "platform", platform)
    secrecy.keep_memory()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="it is Linux that is asked")
def test_a_system_that_cannot_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ctypes, and where a limit must not be set."""
    import resource

    def never(*given: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", never)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    secrecy.keep_memory()
