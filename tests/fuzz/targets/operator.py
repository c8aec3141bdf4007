"""What an operator gives: the configuration as YAML, and as variables of the environment.

Invariant under test: any text is a configuration or a ConfigError whose sentences show no secret; a configuration that
was accepted is accepted again, and is the same.
"""

import re
import tempfile
from pathlib import Path

import msgspec
import yaml

from gateway.config.document import default_yaml
from gateway.config.load import ENVIRONMENT_PREFIX, ConfigError, load
from tests.fuzz.target import Target

SECRET = "hunter2hunter2hunter2"
_FOLDER = tempfile.TemporaryDirectory(prefix="wavegate-fuzz-")
_FILE = Path(_FOLDER.name) / "config.yaml"


def yaml_text(data: bytes) -> None:
    """A file is a configuration or a ConfigError; what was accepted can be written, and read again as the same."""
    _FILE.write_bytes(data)
    try:
        found = load(_FILE, {}).config
    except ConfigError as refused:
        _decent(refused)
        return
    written = yaml.safe_dump(msgspec.to_builtins(found, enc_hook=str), allow_unicode=True)
    _FILE.write_text(written, encoding="utf-8")
    again = load(_FILE, {}).config
    assert msgspec.to_builtins(again, enc_hook=str) == msgspec.to_builtins(found, enc_hook=str)


def environment(data: bytes) -> None:
    """Variables, NAME=VALUE a line, are a configuration or a ConfigError."""
    lines = re.split(r"[\n\0]", data.decode("utf-8", "surrogateescape"))
    pairs = [line.partition("=") for line in lines if "=" in line[1:]]
    try:
        load(None, {ENVIRONMENT_PREFIX + name: value for name, _, value in pairs})
    except ConfigError as refused:
        _decent(refused)


def _decent(refused: ConfigError) -> None:
    assert refused.problems
    for problem in refused.problems:
        assert "\n" not in problem.strip("\n")
        assert SECRET not in problem


_TOKENS = (
    *(b"server:", b"\n  ", b"port: ", b"tenants:\n  - id: ", b"keys: [", b"]", b"{", b"}", b"&a ", b"*a", b"<<: *a"),
    *(
        b"!!binary ",
        b"!!python/object:os.system ",
        b"!!set ",
        b"!!timestamp ",
        b"- ",
        b"? ",
        b"| ",
        b"%YAML 9.9\n---\n",
    ),
    *(b"[" * 300, b"0x10", b"1_000", b".inf", b".nan", b"9" * 5000, b"~", b"\x85", b"\xef\xbb\xbf", b"\t", b"#", b"''"),
    *(
        b"upstream:\n  base_url: ",
        b"quota:\n  store: ",
        b"cluster: {redis_url: ",
        b"limits: {",
        b"1e999",
        b"2026-01-01",
    ),
)

TARGETS = (
    Target(
        "config",
        yaml_text.__doc__ or "",
        yaml_text,
        (
            default_yaml().encode()[:900],
            b"server: {host: 127.0.0.1, port: 8080}\ntenants:\n  - id: acme\n    keys: ['sha256:" + b"a" * 64 + b"']\n",
            b"upstream: {api_key: " + SECRET.encode() + b"}\n",
            b"quota: {store: 'redis://u:" + SECRET.encode() + b"@h/0'}\n",
        ),
        _TOKENS,
    ),
    Target(
        "environment",
        environment.__doc__ or "",
        environment,
        (b"SERVER__PORT=9000\nLOG__LEVEL=debug", b"TENANTS=[{id: a}]", b"SERVER={port: 1}\nSERVER__PORT=2"),
        (b"SERVER__", b"__", b"=", b"\n", b"TENANTS", b"UPSTREAM__API_KEY=", *_TOKENS),
    ),
)
