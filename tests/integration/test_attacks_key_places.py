"""Places where secrets lie about: what a command repeats, what the machine and a browser show, what is deployed.

Invariant under test: whoever reads a terminal, a service's log, a list of processes, a file or an image finds no
secret there that he could not have read where it was put. Each test says the way, and what stops it.
It must not test a gateway's doors: those are tried in `test_attacks_key.py`.
"""

import re
import secrets
import signal
import stat
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import cli
from tests.house.programs import Program

ROOT = Path(__file__).parents[2]
CANARY = "canary0123456789abcdef"
Start = Callable[..., Awaitable[Program]]

# -- what an operator is told ------------------------------------------------------------------------------------------

PASTED = f"sk-{CANARY}"
SAID_WRONG = {
    "a key for a flag": ("serve", "--port", PASTED),
    "a key for a command": ("serve", PASTED),
    "a key for a file": ("check-config", PASTED),
    "a password for an address": ("listen", "--key", "k", "--stream", "s", "--server", f"http://u:{CANARY}@127.0.0.1"),
}
WRITTEN_WRONG = {
    "a key for its file": f"upstream: {{api_key_file: {PASTED}}}",
    "a key without a form for its file": f"upstream: {{api_key_file: {CANARY}}}",
    "a key of no name": f"upstream: {{api_key: {PASTED}}}",
    "a key for a name": f"upstream: {{{PASTED}: 1}}",
    "a key for a hash": f"tenants: [{{id: a, keys: [{CANARY}]}}]",
    "a key for a tenant": f"tenants: [{CANARY}]",
    "a password in an address": f"upstream: {{base_url: 'https://u:{CANARY}@h'}}",
    "a password with a quote": f'cluster: {{redis_url: "redis:/:pa\'ss{CANARY}@h"}}',
    "a password as a parameter": f"cluster: {{redis_url: 'http://h/0?password={CANARY}'}}",
    "a password that begins as an alias": f"cluster: {{redis_url: *{CANARY}}}",
    "a password that begins as a tag": f"cluster: {{redis_url: !{CANARY} x}}",
    "a password without its end": f"cluster: {{redis_url: 'redis://:{CANARY}",
    "a private key for its file": f"server: {{tls_key_file: [{CANARY}]}}",
    "a passphrase for its file": f"server: {{tls_passphrase_file: {{{CANARY}: 1}}}}",
    "a secret for its file": f"server: {{ticket_secret_file: [{CANARY}]}}",
}


@pytest.mark.parametrize("typed", SAID_WRONG.values(), ids=SAID_WRONG)
def test_what_was_typed_wrong_is_not_repeated(typed: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A key that was pasted where none belongs: what a service is started with, and fails on, ends up in its log."""
    with suppress(SystemExit):
        assert cli.main(typed) == cli.USAGE
    said = capsys.readouterr()
    assert said.err
    assert CANARY not in said.out + said.err


@pytest.mark.parametrize("text", WRITTEN_WRONG.values(), ids=WRITTEN_WRONG)
def test_what_is_written_wrong_is_not_repeated(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `check-config` and by `serve`: the sentence names the place, and no value that may be a credential."""
    file = tmp_path / "wavegate.yaml"
    file.write_text(text, encoding="utf-8")
    codes = {cli.main([*command, str(file)]) for command in (["check-config"], ["serve", "--config"])}
    said = capsys.readouterr()
    assert cli.USAGE in codes
    assert said.err
    assert CANARY not in said.out + said.err


# -- what the machine shows --------------------------------------------------------------------------------------------


def _processes(pid: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Id, arguments and environment of a process and of those that it has started."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _processes(int(child))
    place = Path(f"/proc/{pid}")
    yield pid, (place / "cmdline").read_bytes(), (place / "environ").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
async def test_the_machine_shows_no_secret(process: Start, tmp_path: Path) -> None:
    """Lists of processes, environments of codec processes, core files, and files that others may read.

    Secrets are in no argument; a codec process gets what an interpreter needs; the gateway dumps no core; every file it
    makes is its owner's alone, whatever the umask is.
    """
    key, token = f"sk-{secrets.token_hex(16)}", f"cloud-{secrets.token_hex(8)}"
    config = tmp_path / "wavegate.yaml"
    config.write_text("server: {port: 0, internal_port: 0}\ntranscode: {workers: 1}\n", encoding="utf-8")
    before = set(tmp_path.iterdir())
    surroundings = {"DASHSCOPE_API_KEY": key, "AWS_SECRET_ACCESS_KEY": token, "PYTHONPATH": str(ROOT)}
    # Where a system lets everybody have core files and others read new ones.
    lax = ("sh", "-c", 'umask 022; ulimit -c unlimited; exec "$@"', "sh")
    serving = (sys.executable, "-m", "gateway", "serve", "--config", config)
    gateway = await process(*lax, *serving, cwd=tmp_path, environment=surroundings)
    await gateway.says(r"^  public ")
    found = {pid: (arguments, environment) for pid, arguments, environment in _processes(gateway.pid)}
    limits = Path(f"/proc/{gateway.pid}/limits").read_text(encoding="ascii")
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in set(tmp_path.iterdir()) - before}
    gateway.send(signal.SIGTERM)
    assert await gateway.ends() == 0
    assert key.encode() in found[gateway.pid][1]
    workers = [pid for pid, (arguments, _) in found.items() if b"transcode.worker" in arguments]
    assert len(workers) == 1
    for pid, (arguments, environment) in found.items():
        assert key.encode() not in arguments
        if pid != gateway.pid:
            assert key.encode() not in environment
            assert token.encode() not in environment
    assert re.search(r"Max core file size +0 ", limits)
    assert {"usage.db", "usage.db-tickets"} <= set(files)
    assert set(files.values()) == {0o600}, files


# -- what is deployed --------------------------------------------------------------------------------------------------

DEPLOY = ROOT / "deploy"
SAFE = {
    "systemd/wavegate.service": (
        [r"^LimitCORE=0$", r"^LoadCredential=dashscope\.key:", r"^UMask=0077$", r"^ProtectProc=invisible$"],
        [r"DASHSCOPE_API_KEY"],
    ),
    "compose.yaml": ([r"secrets: \[dashscope\.key\]", r'ports: \["127\.0\.0\.1:'], [r"API_KEY", r'ports: \["\d+:']),
    "docker/Dockerfile": ([r"^USER 10001:10001$"], [r"^(ENV|ARG) .*(KEY|SECRET|TOKEN|PASSWORD)", r"COPY .*\.key"]),
    "docker/Dockerfile.dockerignore": ([r"^\*$"], [r"^!deploy$", r"^!\.$"]),
    "kubernetes/deployment.yaml": (
        [r"secretName: wavegate, defaultMode: 0440", r"automountServiceAccountToken: false"],
        [r"API_KEY"],
    ),
    "kubernetes/service.yaml": ([r"targetPort: public"], [r"LoadBalancer", r"NodePort"]),
    "proxy/nginx/wavegate.conf": (
        [r"\$request_method \$uri "],
        [r"\$request[ \"]", r"\$args", r"\$http_authorization"],
    ),
    "proxy/haproxy/haproxy.cfg": ([r"%HPO"], [r"^\s*option httplog", r"%r\b", r"%HU\b", r"capture request header"]),
}


@pytest.mark.parametrize("name", SAFE)
def test_what_is_deployed_keeps_secrets_out_of_sight(name: str) -> None:
    """Out of environments that `docker inspect` and `kubectl describe` show, images, core files and proxies' logs."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    said = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    wanted, unwanted = SAFE[name]
    assert [pattern for pattern in wanted if not re.search(pattern, said, re.MULTILINE)] == []
    assert [pattern for pattern in unwanted if re.search(pattern, said, re.MULTILINE)] == []


def test_pages_keep_no_credential() -> None:
    """What stays in a browser is a theme and a language; a ticket stands in the hash, which no server is sent."""
    kept, texts = set(), {}
    for file in (ROOT / "gateway" / "web").glob("*.js"):
        text = texts[file.name] = file.read_text(encoding="utf-8")
        kept |= set(re.findall(r"\bremember\('([^']+)'", text))
        assert not re.search(r"document\.cookie|sessionStorage|indexedDB|sourceMappingURL", text), file.name
    assert kept == {"wavegate.theme"}
    assert "const CHOICE = 'wavegate.language'" in texts["texts.js"]
    assert [name for name, text in texts.items() if "localStorage" in text] == ["texts.js"]
    for name in ("player.js", "embed.js", "overlay.js"):
        assert not re.search(r"query\.get\('(ticket|key)'\)|location\.search[^;]*ticket", texts[name]), name
