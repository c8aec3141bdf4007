"""Loading: the order of layers, every mistake of every layer, checks across keys, warnings.

Invariant: file, environment and flags are given by each test; nothing comes from the process.
How single values are refused is the converter's business and tested there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import ConfigError, load
from gateway.config.schema import Config
from gateway.config.secret import key_hash

HASH = key_hash("first")
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(content: str | bytes) -> Path:
        path = tmp_path / "wavegate.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def problems(path: Path | None = None, environ: dict[str, str] | None = None, **overrides: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_nothing_given() -> None:
    """Without a file, variables and flags the configuration is the defaults."""
    assert load(None, {}).config == Config()
    assert load(None, {"PATH": "/bin"}, {}).warnings == []


@pytest.mark.parametrize("content", ["", "# a comment\n", "---\n", "server:\n", b"\xef\xbb\xbfserver: {}\n"])
def test_empty_file(write: Write, content: str | bytes) -> None:
    """A file in which nothing is set means the defaults."""
    assert load(write(content), {}).config == Config()


def test_layers(write: Write) -> None:
    """File, then variables, then flags: the later wins for its key and leaves the section's other keys alone."""
    path = write("server: {host: file, port: 1, internal_port: 1, workers: 1}\nlog: {level: error}\n")
    environ = {"WAVEGATE__SERVER__PORT": "2", "WAVEGATE__SERVER__INTERNAL_PORT": "2"}
    config = load(path, environ, {"server.internal_port": 3}).config
    assert (config.server.host, config.server.port, config.server.internal_port) == ("file", 2, 3)
    assert config.log.level == "error"
    assert config.server.drain_timeout == Config().server.drain_timeout


def test_variables_hold_yaml() -> None:
    """A variable gives a scalar, a list or a whole section; one for a single key wins over one for its section."""
    environ = {
        "WAVEGATE__SERVER__PORT": "9000",
        "WAVEGATE__SERVER": "{port: 1, host: 0.0.0.0}",
        "WAVEGATE__UPSTREAM__AUDIO_HOSTS": "[a.example, b.example]",
        "WAVEGATE__UPSTREAM__WORKSPACE_ID": "",
        "WAVEGATE__TENANTS": f"[{{id: acme, keys: ['{HASH}']}}]",
        "WAVEGATE_PORT": "tcp://10.0.0.1:8080",
    }
    config = load(None, environ).config
    assert config.server.port == 9000
    assert config.server.host == "0.0.0.0"
    assert config.upstream.audio_hosts == ["a.example", "b.example"]
    assert config.upstream.workspace_id is None
    assert config.tenants[0].keys == [HASH]


def test_flags_are_dotted_or_nested() -> None:
    """A flag names its key with a dot or in a mapping, and None means null."""
    config = load(None, {}, {"server.port": 1, "log": {"level": "debug"}, "upstream.workspace_id": None}).config
    assert config.server.port == 1
    assert config.log.level == "debug"


def test_lists_are_replaced(write: Write) -> None:
    """A later layer's list stands for the whole list."""
    path = write("tenants: [{id: a}, {id: b}]")
    assert [tenant.id for tenant in load(path, {}, {"tenants": [{"id": "c"}]}).config.tenants] == ["c"]


def test_every_mistake_of_every_layer(write: Write) -> None:
    """Mistakes of all layers come at once, each with its origin, even where a later layer covers the key."""
    path = write("server: {port: x, port: 99999}\nlogs: {}\ntenants: [{id: a}, {id: a}]\n")
    environ = {"WAVEGATE__SERVER__PROT": "1", "WAVEGATE__LOG__LEVEL": "[", "WAVEGATE__SERVER__PORT": "2"}
    assert problems(path, environ, **{"server.workers": 0}) == [
        "server.port: is given twice, in line 1 and in line 1",
        "server.port: must be a port number from 0 to 65535, got 99999",
        "logs: unknown key; did you mean log?",
        "WAVEGATE__LOG__LEVEL: line 1, column 2: expected the node content, but found '<stream end>'",
        "server.prot: unknown key; did you mean server.port? (from WAVEGATE__SERVER__PROT)",
        "server.workers: must be a whole number, 1 or more, got 0 (from the command line)",
        "tenants[1].id: is the id of tenants[0] already, got 'a'",
    ]


@pytest.mark.parametrize(
    "name", ["WAVEGATE__", "WAVEGATE__SERVER__", "WAVEGATE__TENANTS__0__ID", "WAVEGATE__SERVER__A__B"]
)
def test_unknown_variables(name: str) -> None:
    """A variable of ours that names no key is a mistake that names the variable."""
    (problem,) = problems(environ={name: "1"})
    assert problem.endswith(f"(from {name})")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("- a\n", "the configuration: must be a mapping of keys, got a list"),
        ("just text", "the configuration: must be a mapping of keys, got text"),
        ("server:\n\tport: 1\n", "line 2, column 1: found character '\\t' that cannot start any token"),
    ],
)
def test_unusable_content(write: Write, content: str, problem: str) -> None:
    """A file that is no mapping, or no YAML, is told with its place."""
    assert problems(write(content)) == [problem]


def test_unusable_file(write: Write, tmp_path: Path) -> None:
    """A file that cannot be read as text is named with the reason."""
    assert problems(tmp_path) == [f"{tmp_path}: is a directory, not a file"]
    assert problems(tmp_path / "none.yaml") == [f"{tmp_path}/none.yaml: the file does not exist"]
    below = write(b"server: \xff\n") / "below"
    assert problems(below) == [f"{below}: cannot be read: Not a directory"]
    assert problems(below.parent) == [f"{below.parent}: is not UTF-8 text, at byte 8"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"server.port": 9464},
            "server.internal_port: must not be server.port on the same address, got 9464",
        ),
        (
            {"server.workers": 2},
            "server.workers: more than one process needs cluster.redis_url, such as redis://127.0.0.1:6379/0; "
            "without it it must be 1, got 2",
        ),
        (
            {"server.tls_certificate_file": "a.pem"},
            "server.tls_key_file: is needed as well, since TLS takes a certificate and its key",
        ),
        (
            {"server.tls_key_file": "a.key"},
            "server.tls_certificate_file: is needed as well, since TLS takes a certificate and its key",
        ),
        (
            {"server.tls_passphrase_file": "word"},
            "server.tls_passphrase_file: goes with server.tls_key_file, which is not set",
        ),
        (
            {"server.trusted_proxies": ["10.0.0.0/8", "10.0.0.0/33"]},
            "server.trusted_proxies[1]: must be an address or a network, got '10.0.0.0/33'",
        ),
        (
            {"server.proxy_protocol": True},
            "server.proxy_protocol: needs server.trusted_proxies, whose connections begin with that header",
        ),
        (
            {"upstream.base_url": "http://:80"},
            "upstream.base_url: must have a host and, if it has a port, a real one, got 'http://:80'",
        ),
        (
            {"upstream.base_url": "http://me:topsecret@host:99999"},
            "upstream.base_url: must have a host and, if it has a port, a real one, got 'http://***@host:99999'",
        ),
        (
            {"upstream.base_url": "https://me:topsecret@host"},
            "upstream.base_url: must be without a name and a password, got 'https://***@host'",
        ),
        (
            {"server.ticket_secret_file": "secret", "quota.store": "memory:"},
            "server.ticket_secret_file: needs a quota.store that is not memory:, or cluster.redis_url, since after a "
            "restart nobody would know which tickets have been used",
        ),
        (
            {"tenants": [{"id": "a", "keys": [HASH]}, {"id": "b", "keys": [key_hash("x"), HASH]}]},
            f"tenants[1].keys[1]: is the same key as tenants[0].keys[0], got the hash that begins with {HASH[7:15]}",
        ),
        (
            {"tenants": [{"id": "a", "keys": [HASH, HASH]}]},
            f"tenants[0].keys[1]: is the same key as tenants[0].keys[0], got the hash that begins with {HASH[7:15]}",
        ),
        (
            {"tenants": [{"id": "a"}, {"id": "b"}, {"id": "a"}]},
            "tenants[2].id: is the id of tenants[0] already, got 'a'",
        ),
    ],
)
def test_checks_across_keys(values: dict[str, Any], problem: str) -> None:
    """Values that are good alone and wrong together are one mistake."""
    assert problems(**values) == [problem]


def test_free_ports_are_not_equal_ports() -> None:
    """Two ports of 0 are two different free ones, and one number on two addresses is no clash."""
    assert load(None, {}, {"server": {"port": 0, "internal_port": 0}}).config.server.port == 0
    assert load(None, {}, {"server": {"port": 1, "internal_port": 1, "host": "::"}}).config.server.host == "::"


def test_wrong_ids_are_told_once(write: Write) -> None:
    """Tenants without a usable id are not called doubles of each other, and keep their place in the list."""
    path = write("tenants:\n- id: A\n- id: A\n- {}\n- id: b\n- id: b\n")
    assert [problem.split(":")[0] for problem in problems(path)] == [
        "tenants[0].id",
        "tenants[1].id",
        "tenants[2].id",
        "tenants[4].id",
    ]


def test_what_is_hardly_meant_so_is_a_warning(write: Write) -> None:
    """A tenant without a key is good, and can be used by nobody."""
    path = write("tenants: [{id: a, keys: ['sha256:" + 64 * "1" + "']}, {id: b}]\n")
    assert load(path, {}).warnings == ["tenants[1].keys: is empty, so nobody can use this tenant"]


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://dashscope.aliyuncs.com", True),
        ("http://8.8.8.8:8080/api", True),
        ("http://127.0.0.1:8090", False),
        ("http://[::1]:8090", False),
        ("http://10.0.0.7", False),
        ("http://simulator:8090", False),
        ("http://proxy.internal", False),
        ("https://dashscope.aliyuncs.com", False),
    ],
)
def test_a_key_that_would_go_in_the_clear_is_a_warning(url: str, *, warned: bool) -> None:
    """By http, to somewhere beyond one's own networks; a workspace's own host is always asked by https."""
    said = load(None, {}, {"upstream.base_url": url}).warnings
    assert [line.startswith("upstream.base_url: is http") for line in said] == [True] * warned
    assert load(None, {}, {"upstream.base_url": url, "upstream.workspace_id": "llm-x"}).warnings == []


def test_tickets_may_outlive_a_restart_where_their_uses_do(write: Write) -> None:
    """In Redis, or in a file."""
    for values in ({"cluster.redis_url": "redis://h", "quota.store": "memory:"}, {"quota.store": "sqlite:///a.db"}):
        assert load(None, {}, {"server.ticket_secret_file": "secret", **values}).warnings == []


def test_secrets_stay_out_of_the_error(write: Write) -> None:
    """Neither the sentences nor what the exception carries along show a key that stands in the wrong place."""
    path = write("upstream:\n  api_key: sk-topsecret\n  sk-topsecret: 1\n  sk-topsecret: 2\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {"WAVEGATE__TENANTS__SK-TOPSECRET": "1"})
    assert len(caught.value.problems) == 4
    assert "topsecret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
