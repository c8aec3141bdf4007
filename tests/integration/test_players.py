"""Players and programs that people have, on the progressive door: curl, ffmpeg, mpv.

Invariant under test: each of them gets the whole song, in every format, while it is made; a download that broke goes on
where it stopped. It must not know how the door answers them.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.cutting import cutting
from tests.support.gateway import KEY, PATIENCE, bench
from tests.support.sound import RATE, samples, steps

SECONDS = 4
SONG = f"[[scale seconds={SECONDS} speed=2]] a scale for the players of this test"
STEPS = list(range(2 * SECONDS))
AUTHORIZED = f"Authorization: Bearer {KEY}"

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def run(*command: Any) -> tuple[int | None, bytes, str]:
    """Exit status, output and complaints of a program."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out, err.decode(errors="replace")


def heard(sound: Any) -> list[int]:
    return [step for step, _ in steps(sound)]


async def test_curl_goes_on_with_a_download_that_broke(need: Callable[[str], str], tmp_path: Path) -> None:
    """Twice while the song is made, from the byte where it stopped; and when it has all, it says so."""
    curl, file, heads = need("curl"), tmp_path / "song.mp3", tmp_path / "heads"
    async with bench() as gateway, cutting(gateway.url, "audio.mp3", after=20_000, times=2) as line:
        stream = await gateway.create(SONG)
        url = stream["urls"]["audio"].replace(gateway.url, line.url)
        common = ("-sS", "-H", AUTHORIZED, "-D", heads, "-o", file)
        status, _, _ = await run(curl, *common, url)
        assert status == 18, "it knows that this was not all"
        for cut, exit_status in ((True, 18), (False, 0)):
            before = file.read_bytes()
            status, _, complaint = await run(curl, *common, "-C", "-", url)
            assert status == exit_status, complaint
            head = heads.read_text()
            assert head.startswith("HTTP/1.1 206")
            assert f"Content-Range: bytes {len(before)}-" in head
            assert file.read_bytes().startswith(before)
            if cut:
                assert (await gateway.info(stream["id"]))["status"] == "running"
        async with gateway.http.get(stream["urls"]["audio"]) as response:
            song = await response.read()
        assert file.read_bytes() == song
        status, _, complaint = await run(curl, *common, "-C", "-", url)
        assert (status, file.read_bytes()) == (0, song), complaint


async def test_curl_looks_at_heads_and_parts(need: Callable[[str], str]) -> None:
    """`-I` and `-r`, of a whole song; and any version of HTTP while it is made."""
    curl = need("curl")
    async with bench() as gateway:
        stream = await gateway.create(SONG)
        url = stream["urls"]["audio"]
        bodies = await asyncio.gather(
            run(curl, "-sS", "-H", AUTHORIZED, url), run(curl, "-sS", "--http1.0", "-H", AUTHORIZED, url)
        )
        (_, song, _), (_, old, _) = bodies
        assert song == old
        _, out, _ = await run(curl, "-sSI", "-H", AUTHORIZED, url)
        assert f"Content-Length: {len(song)}\r\n".encode() in out
        for part, expected in (("5-9", song[5:10]), ("-7", song[-7:]), ("100-", song[100:])):
            assert (await run(curl, "-sS", "-r", part, "-H", AUTHORIZED, url))[1] == expected


async def test_ffmpeg_hears_every_format_while_it_is_made(need: Callable[[str], str]) -> None:
    """All eight at once, each with every step of the scale in its order, and no complaint."""
    ffmpeg = need("ffmpeg")
    async with bench() as gateway:
        stream = await gateway.create(SONG)

        async def listen(form: str) -> tuple[int | None, list[int], str]:
            raw = ("-f", "s16le", "-ar", RATE, "-ac", 2) if form == "pcm" else ()
            url = f"{gateway.url}/v1/streams/{stream['id']}/audio.{form}"
            source = ("-headers", f"{AUTHORIZED}\r\n", *raw, "-i", url)
            status, out, complaint = await run(
                ffmpeg, "-nostdin", "-v", "error", *source, "-f", "f32le", "-ac", 1, "-ar", RATE, "-"
            )
            return status, heard(np.frombuffer(out, "<f4").astype(np.float64)), complaint

        forms = ("mp3", "wav", "pcm", "ogg", "webm", "aac", "mp4", "flac")
        for form, found in zip(forms, await asyncio.gather(*map(listen, forms)), strict=True):
            assert found == (0, STEPS, ""), form


async def test_mpv_plays_a_song_in_the_making_and_reads_its_title(need: Callable[[str], str], tmp_path: Path) -> None:
    """Every step, to the end, and the title that is inside the sound."""
    file = tmp_path / "heard.wav"
    async with bench() as gateway:
        stream = await gateway.create(f"A calm river at night\n{SONG}")
        options = ("--no-config", "--msg-level=all=info", "--ao=pcm", f"--ao-pcm-file={file}", "--audio-format=s16")
        field = f"--http-header-fields={AUTHORIZED}"
        status, out, complaint = await run(need("mpv"), *options, field, stream["urls"]["audio"])
        said = out.decode(errors="replace")
        assert status == 0, said + complaint
        assert "icy-title: A calm river at night" in said
        assert "End of file" in said
        assert heard(samples(file.read_bytes(), "wav")) == STEPS
