"""The conversation of `wavegate probe`, with a provider on a real socket.

Invariant under test: nothing is spent without a yes, and whatever happens the report is written and the code agrees.
It must not know the command line's options.
"""

import asyncio
import io
import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.schema import Upstream
from gateway.config.secret import Secret
from gateway.protocol.sse import encode_event
from gateway.upstream.keys import ProviderKey
from gateway.upstream.probe import command
from gateway.upstream.probe.command import DONE, FAILED, OrderError, confirm, offer, order, probe
from gateway.upstream.probe.purchase import Purchase
from gateway.upstream.probe.report import Discretion
from gateway.upstream.simulator.server import Simulator
from tests.support.provider import DELTA, EVENTS, FACTS, SECRET, STOP, Provider
from tests.support.relay import within
from tests.support.wire import stop_payload

PROMPT = "[[scale seconds=2 speed=0]] a scale for the test bench"


def silent(line: str) -> None:
    pass


def purchase(url: str, tell: Callable[[str], None] = silent, **settings: Any) -> Purchase:
    upstream = Upstream(base_url=url, **settings)
    return Purchase(upstream, ProviderKey(SECRET), order(upstream, PROMPT, "mp3", None), tell=tell)


def at(beginning: str, number: signal.Signals) -> Callable[[str], None]:
    """To be told things, and to send the signal at the one that begins so."""
    return lambda line: signal.raise_signal(number) if line.startswith(beginning) else None


async def run(buying: Purchase, directory: Path | None = None) -> tuple[int, str, str]:
    """The exit code, the report, and what was said beside it."""
    out, err = io.StringIO(), io.StringIO()
    discretion = Discretion([Secret(SECRET)], buying.song.input.prompt)
    code = await within(probe(buying, discretion, directory, out=out, err=err))
    for said in (out.getvalue(), err.getvalue()):
        assert SECRET not in said
        assert PROMPT not in said
    return code, out.getvalue(), err.getvalue()


# -- before anything is spent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("fun-music-v1", "about 200 s at 0.002 CNY a second: about 0.40 CNY"),
        ("fun-music-preview", "about 200 s at 0.005 CNY a second: about 1.00 CNY"),
    ],
)
def test_the_offer_names_model_and_price(model: Any, cost: str) -> None:
    """And where the song is bought, but not what is sung about."""
    upstream = Upstream(model=model)
    song = order(upstream, command.PROMPT, "wav", None)
    said = offer(Purchase(upstream, ProviderKey(SECRET), song))
    assert f"  {model}, wav, streamed; a prompt of {len(command.PROMPT)} characters\n" in said
    assert cost in said
    assert "from dashscope.aliyuncs.com with your key" in said
    assert command.PROMPT not in said


def test_a_prompt_that_would_be_refused_is_not_sent() -> None:
    """With the gateway's own sentence."""
    with pytest.raises(OrderError, match="The prompt has 2 English words"):
        order(Upstream(), "too short", "mp3", None)


def test_a_place_for_the_report_is_made_before_it_is_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be made or written to, or holds a report already, is found out in time."""
    place = tmp_path / "a" / "b"
    order(Upstream(), command.PROMPT, "mp3", place)
    assert place.is_dir()
    (place / "slices.mp3").touch()
    with pytest.raises(OrderError, match="already holds a report"):
        order(Upstream(), command.PROMPT, "mp3", place)
    with pytest.raises(OrderError, match=r"slices\.mp3 cannot be made: "):
        order(Upstream(), command.PROMPT, "mp3", place / "slices.mp3")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OrderError, match="cannot be written to"):
        order(Upstream(), command.PROMPT, "mp3", tmp_path)


class Person(io.StringIO):
    """A terminal with somebody at it."""

    def isatty(self) -> bool:
        return True


class Leaving(Person):
    """Somebody who answers with Ctrl-C."""

    def readline(self, *arguments: Any) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", " YES"])
def test_a_yes_is_a_yes(answer: str) -> None:
    """In either case."""
    err = io.StringIO()
    confirm(Person(answer), err)
    assert err.getvalue() == "Buy one song? [y/N] "


@pytest.mark.parametrize("person", [Person("\n"), Person("n\n"), Person("yesterday\n"), Person(""), Leaving()])
def test_anything_else_is_a_no(person: Person) -> None:
    """The end of input and Ctrl-C too."""
    with pytest.raises(OrderError, match="nothing was bought"):
        confirm(person, io.StringIO())


def test_nobody_is_not_asked() -> None:
    """What comes from a pipe is no answer."""
    err = io.StringIO()
    with pytest.raises(OrderError, match="--yes"):
        confirm(io.StringIO("y\n"), err)
    assert err.getvalue() == ""


# -- buying ------------------------------------------------------------------------------------------------------------


async def test_a_song_is_bought_and_reported(tmp_path: Path) -> None:
    """From the simulator: one call, whole, its file the same as its slices, and everything saved."""
    async with Simulator(speed=0) as simulator:
        code, out, err = await run(purchase(simulator.url, audio_hosts=["127.0.0.1:*"]), tmp_path)
        assert simulator.requests == 1
    assert code == DONE
    assert "  outcome          finished\n" in out
    assert "  cost             nothing: a simulator sang\n" in out
    assert "  the file is      identical to the joined slices\n" in out
    assert err == f"saved: {tmp_path / 'report.json'}, {tmp_path / 'slices.mp3'}\n"
    assert PROMPT not in await asyncio.to_thread((tmp_path / "report.json").read_text)


async def test_a_refusal_is_reported_with_one() -> None:
    """Our sentence on the report, code 1."""
    async with Simulator(speed=0, api_key="another") as simulator:
        code, out, _ = await run(purchase(simulator.url))
    assert code == FAILED
    assert "upstream_refused" in out
    assert "401 InvalidApiKey" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_closes_and_reports(provider: Provider, number: signal.Signals) -> None:
    """In the middle of a song: the provider may charge, what came is there, code 1; later signals are not ours."""
    provider.begins(DELTA)
    code, out, err = await run(purchase(provider.url, at("first sound", number)))
    assert code == FAILED
    assert "the provider may still charge" in err
    assert "  outcome          interrupted\n" in out
    assert "1 with 5 bytes" in out
    assert not asyncio.get_running_loop().remove_signal_handler(number)


async def test_what_was_not_sent_was_not_bought(provider: Provider) -> None:
    """A signal before the call is on its way has cost nothing, and is said to."""

    def interrupted() -> ssl.SSLContext:
        signal.raise_signal(signal.SIGINT)
        return ssl.create_default_context()

    upstream = Upstream(base_url=provider.url.replace("http:", "https:"))
    song = order(upstream, PROMPT, "mp3", None)
    code, out, err = await run(Purchase(upstream, ProviderKey(SECRET), song, tls=interrupted))
    assert (code, len(provider.requests)) == (FAILED, 0)
    assert "nothing was bought" in err
    assert "nothing: the call was never sent" in out


async def test_leaving_during_the_fetch_is_told_apart(provider: Provider) -> None:
    """The song is bought; only its file is missing."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            await asyncio.Event().wait()
        stop = encode_event(2, "result", 200, stop_payload(url=f"{provider.url}/a.mp3", **FACTS))
        return web.Response(body=DELTA + stop, headers=EVENTS)

    provider.answer = answer
    leaving = at("the song is whole", signal.SIGINT)
    code, out, err = await run(purchase(provider.url, leaving, audio_hosts=["127.0.0.1:*"]))
    assert code == FAILED
    assert "the song is bought" in err
    assert "  outcome          finished\n" in out


async def test_a_report_that_cannot_be_saved_is_shown_all_the_same(provider: Provider, tmp_path: Path) -> None:
    """Code 1, and the reason."""
    provider.says(DELTA + STOP)
    code, out, err = await run(purchase(provider.url), tmp_path / "gone")
    assert code == FAILED
    assert "  outcome          finished\n" in out
    assert err == "The report could not be saved: No such file or directory.\n"


async def test_a_poor_terminal_gets_the_report(provider: Provider) -> None:
    """A character that it lacks is replaced: the song was paid for."""
    provider.says(DELTA + STOP)
    octets = io.BytesIO()
    out = io.TextIOWrapper(octets, encoding="ascii")
    buying = purchase(provider.url)
    assert await within(probe(buying, Discretion([], None), None, out=out, err=io.StringIO())) == DONE
    assert b"  outcome          finished" in octets.getvalue()
    assert b"?" in octets.getvalue()
