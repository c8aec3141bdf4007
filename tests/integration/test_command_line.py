"""The command line as real processes: a demo that starts, sings and stops, and a client that listens to it.

Invariant under test: every command ends by itself or at its signal, with the exit code of what happened and without a
traceback. It looks at output, exit codes and files only.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.config.secret import key_hash
from tests.house.programs import Program
from tests.house.tree import ROOT
from transcode.framer import Framer

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Start = Callable[..., Awaitable[Program]]
DEMO = {"Authorization": "Bearer demo"}
PROMPT = "[[scale seconds=2 speed=4]] a scale for the command line"
# No key that the tester has, and output buffered as it is for users.
NOBODY = {"DASHSCOPE_API_KEY": "", "WAVEGATE_KEY": "", "PYTHONUNBUFFERED": ""}


@pytest.fixture
def wavegate(process: Start) -> Start:
    """`await wavegate("serve", ...)` starts a command, with no key in its environment."""

    async def start(*arguments: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> Program:
        surroundings = NOBODY | {"PYTHONPATH": str(ROOT)} | (environment or {})
        return await process(sys.executable, "-m", "gateway", *arguments, cwd=cwd, environment=surroundings)

    return start


async def demo(wavegate: Start, *flags: str) -> tuple[Program, str]:
    """A demo on free ports that is up, and its address."""
    program = await wavegate("serve", "--demo", "--port", "0", "--internal-port", "0", *flags)
    match = await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$")
    await program.says(r"^  internal  http://127\.0\.0\.1:\d+/metrics$")
    return program, match[1]


@asynccontextmanager
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=DEMO, timeout=aiohttp.ClientTimeout(20)) as http:
        yield http


async def create(http: aiohttp.ClientSession, url: str, prompt: str) -> dict[str, dict[str, str]]:
    async with http.post(f"{url}/v1/streams", json={"input": {"prompt": prompt}}) as response:
        assert response.status == 201
        document: dict[str, dict[str, str]] = await response.json()
        return document


# -- serve -------------------------------------------------------------------------------------------------------------


async def test_the_first_ctrl_c_lets_the_song_end(wavegate: Start) -> None:
    """A demo says where its player is, sings, and at Ctrl-C ends with 0 when the song that runs has ended."""
    program, url = await demo(wavegate)
    assert f"player    {url}/ " in program.said
    async with visitor() as http:
        async with http.get(url + "/") as response:
            assert response.status == 200
        stream = await create(http, url, PROMPT)
        async with http.get(stream["urls"]["audio"]) as response:
            body = await response.content.readexactly(1000)
            program.send(signal.SIGINT)
            await program.says("running streams may finish")
            body += await response.read()
    assert await program.ends() == 0
    framer = Framer()
    frames = framer.feed(body) + framer.flush()
    assert sum(frame.samples for frame in frames) / 48_000 == pytest.approx(2.0, abs=0.1)
    assert "Traceback" not in program.said


async def test_the_second_ctrl_c_waits_for_nobody(wavegate: Start) -> None:
    """A song that would take a minute is broken off, which its listener can tell, and the exit is 0."""
    program, url = await demo(wavegate)
    async with visitor() as http:
        stream = await create(http, url, "[[scale seconds=60 speed=1]] a scale that is too long")
        async with http.get(stream["urls"]["audio"]) as response:
            await response.content.readexactly(1000)
            program.send(signal.SIGINT)
            await program.says("running streams may finish")
            program.send(signal.SIGINT)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
    assert await program.ends(10.0) == 0
    assert "Traceback" not in program.said


async def test_a_polite_end_of_an_idle_gateway(wavegate: Start) -> None:
    """SIGTERM, as service managers send it, ends with 0 at once where nothing runs."""
    program, _ = await demo(wavegate)
    program.send(signal.SIGTERM)
    assert await program.ends(10.0) == 0
    assert "Traceback" not in program.said


@pytest.mark.parametrize("flag", ["--port", "--internal-port"])
async def test_a_port_that_is_taken_is_said_in_a_sentence(wavegate: Start, flag: str) -> None:
    """Code 2, the port, and which flags choose another one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ports = {"--port": "0", "--internal-port": "0"} | {flag: port}
        program = await wavegate("serve", "--demo", *[part for pair in ports.items() for part in pair])
        assert await program.ends() == 2
    assert f"127.0.0.1:{port}" in program.said
    assert "Choose others with --port and --internal-port." in program.said
    assert "Traceback" not in program.said


async def test_without_a_key_nothing_is_served(wavegate: Start) -> None:
    """Code 2 and both ways out."""
    program = await wavegate("serve", "--port", "0", "--internal-port", "0")
    assert await program.ends() == 2
    assert program.stdout == b""
    assert "wavegate serve --demo" in program.said


async def test_a_gateway_buys_from_the_simulator_and_keeps_its_key(wavegate: Start, tmp_path: Path) -> None:
    """Two processes: the song is bought with the provider's key, and the key is in nothing that either of them says."""
    secret = "sk-0123456789abcdef-the-provider-key"
    simulator = await wavegate("simulate", "--port", "0", "--speed", "0")
    provider = (await simulator.says(r"simulator at (http://127\.0\.0\.1:\d+),"))[1]
    maker = await wavegate("keys", "new", "acme")
    assert await maker.ends() == 0
    key, digest = re.search(r"key   (\S+)", maker.said), re.search(r"hash  (\S+)", maker.said)
    assert key is not None
    assert digest is not None
    config = tmp_path / "wavegate.yaml"
    config.write_text(f"tenants: [{{id: acme, keys: ['{digest[1]}']}}]\nlog: {{level: debug}}\n", encoding="utf-8")
    environment = {
        "DASHSCOPE_API_KEY": secret,
        "WAVEGATE__UPSTREAM__BASE_URL": provider,
        "WAVEGATE__QUOTA__STORE": "'memory:'",
    }
    gateway = await wavegate(
        "serve", "--config", config, "--port", "0", "--internal-port", "0", environment=environment
    )
    url = (await gateway.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]
    listener = await wavegate(
        "listen", "--server", url, "--key", key[1], "--prompt", PROMPT, "-o", tmp_path / "song.mp3"
    )
    assert await listener.ends() == 0, listener.said
    await gateway.says("stream.ended")
    for program in (gateway, simulator):
        program.send(signal.SIGTERM)
        assert await program.ends(10.0) == 0
        assert secret not in program.said
        assert key[1] not in program.said
        assert "Traceback" not in program.said


# -- listen ------------------------------------------------------------------------------------------------------------


async def test_a_song_is_written_to_a_file_and_to_a_pipe(wavegate: Start, tmp_path: Path) -> None:
    """The file is whole frames of the song's length; whoever joins the stream afterwards pipes the same bytes."""
    _, url = await demo(wavegate)
    file = tmp_path / "song.mp3"
    first = await wavegate("listen", "--server", url, "--key", "demo", "--prompt", PROMPT, "-o", file, cwd=tmp_path)
    assert await first.ends() == 0, first.said
    assert first.stdout == b""
    assert "sha256 verified" in first.said
    framer = Framer()
    frames = framer.feed(file.read_bytes()) + framer.flush()
    assert b"".join([frame.data for frame in frames]) == file.read_bytes()
    assert sum(frame.samples for frame in frames) / 48_000 == pytest.approx(2.0, abs=0.1)
    async with visitor() as http, http.get(f"{url}/v1/streams") as response:
        (stream,) = (await response.json())["streams"]
    second = await wavegate("listen", "--server", url, "--key", "demo", "--stream", stream["id"], "-o", "-")
    assert await second.ends() == 0, second.said
    assert bytes(second.stdout) == file.read_bytes()


async def test_a_player_that_is_closed_ends_the_listening(wavegate: Start, process: Start) -> None:
    """`wavegate listen -o - | head -c 1000` ends well, with the first bytes of the song."""
    _, url = await demo(wavegate)
    command = (
        f"'{sys.executable}' -m gateway listen --server {url} --key demo --prompt '{PROMPT}' -o - | head -c 1000; "
        "echo ${PIPESTATUS[0]} >&2"
    )
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("there is no bash")
    pipe = await process(shell, "-c", command, cwd=ROOT, environment=NOBODY)
    assert await pipe.ends() == 0
    assert len(pipe.stdout) == 1000
    assert bytes(pipe.stderr).endswith(b"0\n"), pipe.said
    assert b"Traceback" not in pipe.stderr
    assert b"Exception" not in pipe.stderr


async def test_a_refusal_is_told_in_words(wavegate: Start) -> None:
    """What the gateway refuses has its sentence and code 1; what was never asked has code 2; nothing is written."""
    _, url = await demo(wavegate)
    rows: list[tuple[tuple[str, ...], int, str]] = [
        (("--key", "wrong"), 1, "bad_credentials"),
        (("--key", "demo", "--format", "midi"), 1, "unsupported_format"),
        ((), 2, "WAVEGATE_KEY"),
    ]
    for flags, code, words in rows:
        listener = await wavegate("listen", "--server", url, "--prompt", PROMPT, *flags)
        assert await listener.ends() == code, listener.said
        assert words in listener.said
        assert "Traceback" not in listener.said
        assert listener.stdout == b""


@pytest.mark.parametrize("server", ["ftp://127.0.0.1", "http://", "not a url"])
async def test_an_address_that_is_none_is_wrong_usage(wavegate: Start, server: str, tmp_path: Path) -> None:
    """Code 2, without a connection."""
    listener = await wavegate("listen", "--server", server, "--key", "k", "--prompt", PROMPT, cwd=tmp_path)
    assert await listener.ends() == 2, listener.said
    assert "Traceback" not in listener.said
    assert list(tmp_path.iterdir()) == []


# -- pipes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("default-config",), ("keys", "new", "acme")])
async def test_output_that_nobody_reads_is_no_failure(command: tuple[str, ...]) -> None:
    """A reader that has left before the first byte draws neither an exit code nor a word."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *command),
            cwd=ROOT,
            env=os.environ | NOBODY,
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
        )
    finally:
        os.close(writing)
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, said) == (0, b"")


async def test_a_new_key_waits_for_no_codec(process: Start) -> None:
    """`wavegate keys new` starts without loading an HTTP server, a codec or numbers."""
    probe = (
        "import sys; from gateway.cli import main; main(['keys', 'new', 'acme']); "
        "print(sorted({'aiohttp', 'av', 'numpy'} & set(sys.modules)))"
    )
    program = await process(sys.executable, "-c", probe, cwd=ROOT, environment=NOBODY)
    assert await program.ends() == 0
    assert program.said.endswith("[]\n"), program.said


async def test_a_hangup_reloads_the_tenants(wavegate: Start, tmp_path: Path) -> None:
    """A new key works, a limit holds, and whoever came with a key that is gone is sent away with 4001."""
    config = tmp_path / "wavegate.yaml"

    def write(*keys: str, listeners: int) -> None:
        hashes = ", ".join(f"'{key_hash(key)}'" for key in keys)
        tenant = f"{{id: acme, keys: [{hashes}], limits: {{listeners: {listeners}}}}}"
        config.write_text(f"tenants: [{tenant}]\nquota: {{store: 'memory:'}}\n", encoding="utf-8")

    async def greeting(socket: ClientConnection) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 20))
        return message

    write("old", "kept", listeners=5)
    environment = {"DASHSCOPE_API_KEY": "sk-any"}
    gateway = await wavegate(
        "serve", "--config", config, "--port", "0", "--internal-port", "0", environment=environment
    )
    public = (await gateway.says(r"public\s+http(\S+)"))[1]
    url = f"ws{public}/v1/ws"
    await gateway.says("internal")
    old, kept = ({"Authorization": f"Bearer {key}"} for key in ("old", "kept"))
    async with (
        connect(url, additional_headers=old, compression=None) as first,
        connect(url, additional_headers=kept, compression=None) as second,
    ):
        assert (await greeting(first))["limits"]["listeners"] == 5
        await greeting(second)
        config.write_text("tenants: 7\n", encoding="utf-8")
        gateway.send(signal.SIGHUP)
        await gateway.says("config.refused")
        write("kept", "new", listeners=3)
        gateway.send(signal.SIGHUP)
        with suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(first.recv(), 20)
        assert first.close_code == 4001
        new = {"Authorization": "Bearer new"}
        async with connect(url, additional_headers=new, compression=None) as third:
            assert (await greeting(third))["limits"]["listeners"] == 3
        await second.send('{"type": "ping", "t": 1}')
        assert (await greeting(second))["type"] == "pong"
