"""OpenAI's own Python SDK against a whole gateway, unchanged but for its address and a tenant's key.

Invariant under test: what the SDK gives is what the relay made, whole, in every format; its own retries buy nothing
twice; its exceptions are the right ones. Nothing here looks inside the gateway.
"""

import asyncio
import base64
import io
import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import av
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Model

from gateway.config.schema import Limits, SpeechAlias, Tenant, Upstream
from gateway.config.secret import key_hash
from tests.support.gateway import KEY, PROVIDER_KEY, Bench, bench

T = TypeVar("T")

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps until noon."
SPEECH: dict[str, Any] = {"model": "cosyvoice-v3-flash", "voice": "longanyang", "input": TEXT}
SONG: dict[str, Any] = {"model": "fun-music-v1", "voice": "female", "input": "a scale for the listeners of this test"}
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
PATIENCE = 30.0
# Hundredths of a second by which an encoder may delay the sound.
LATEST = 12


def sung(marker: str) -> dict[str, Any]:
    return SONG | {"input": f"[[{marker}]] {SONG['input']}"}


async def with_sdk(there: Bench, ask: Callable[[OpenAI], T], *, key: str = KEY, **options: Any) -> T:
    """What the blocking client gives, from a thread of its own."""

    def run() -> T:
        with OpenAI(base_url=f"{there.url}/v1", api_key=key, timeout=PATIENCE, **options) as client:
            return ask(client)

    return await asyncio.to_thread(run)


def sdk(there: Bench, *, key: str = KEY, **options: Any) -> AsyncOpenAI:
    """The other client. Without a list of authorities, which takes its time to read and which nobody needs here."""
    http = openai.DefaultAsyncHttpxClient(verify=False)
    return AsyncOpenAI(base_url=f"{there.url}/v1", api_key=key, timeout=PATIENCE, http_client=http, **options)


async def bought(there: Bench) -> list[dict[str, Any]]:
    async with there.http.get(f"{there.url}/v1/streams") as response:
        streams: list[dict[str, Any]] = (await response.json())["streams"]
        return streams


def decoded(data: bytes, name: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Mono samples at 24 kHz."""
    if name == "pcm":
        return np.frombuffer(data, "<i2") / 32768.0
    resampler = av.AudioResampler("s16", "mono", 24000)
    with av.open(io.BytesIO(data)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]) / 32768.0


def likeness(one: "np.ndarray[Any, np.dtype[np.float64]]", two: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """How much the rise and fall of both is the same, from 0 to 1, where one may begin a little later."""
    levels = []
    for sound in (one, two):
        blocks = sound[: len(sound) // 240 * 240].reshape(-1, 240)
        levels.append(np.sqrt(np.convolve((blocks**2).mean(axis=1), np.ones(6), "valid")))
    length = min(map(len, levels)) - LATEST
    late = [levels[0][shift : shift + length] for shift in range(LATEST)]
    return max(float(np.corrcoef(level, levels[1][:length])[0, 1]) for level in late)


# -- sound -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "names"), [("cosyvoice-v3-flash", FORMATS), ("qwen3-tts-flash", ("mp3", "wav", "pcm"))]
)
async def test_every_format_is_the_same_speech(model: str, names: tuple[str, ...]) -> None:
    """Each decodes to the same length and the same rise and fall; pcm is what OpenAI says it is."""
    async with bench() as there:

        def ask(client: OpenAI) -> dict[str, bytes]:
            order = SPEECH | {"model": model}
            speech = client.audio.speech
            return {name: speech.create(**(order | {"response_format": name})).content for name in names}

        files = await with_sdk(there, ask)
        sounds = {name: decoded(data, name) for name, data in files.items()}
        pcm = sounds["pcm"]
        assert 3.0 < len(pcm) / 24000 < 6.0
        for name, sound in sounds.items():
            # An mp3 or an aac is a whole number of frames, and the provider's mp3 has its encoder's delay.
            assert len(sound) / 24000 == pytest.approx(len(pcm) / 24000, abs=0.12), name
            assert likeness(sound, pcm) > 0.95, name
        assert len(await bought(there)) == len(names)


async def test_the_sdk_streams_what_others_hear_too() -> None:
    """The first bytes come long before the last, and the stream is there under the id in the head."""
    async with bench(speed=4.0) as there, sdk(there) as client:
        order = sung("scale seconds=4")
        async with client.audio.speech.with_streaming_response.create(**order) as response:
            stream_id = response.headers["X-Wavegate-Stream-Id"]
            assert response.headers["content-type"] == "audio/mpeg"
            pieces = response.iter_bytes(2048)
            first = await anext(pieces)
            assert (await there.info(stream_id))["status"] == "running"
            whole = first + b"".join([piece async for piece in pieces])
        async with there.http.get(f"{there.url}/v1/streams/{stream_id}/audio.mp3") as heard:
            assert await heard.read() == whole
        assert len(decoded(whole, "mp3")) / 24000 == pytest.approx(4.0, abs=0.1)


async def test_the_events_joined_are_the_audio() -> None:
    """With the blocking client and a voice written as an object; then with the SDK's own reader of events."""
    async with bench() as there:

        def ask(client: OpenAI) -> tuple[list[dict[str, Any]], str]:
            order = SPEECH | {"voice": {"id": "longanyang"}, "stream_format": "sse", "response_format": "wav"}
            with client.audio.speech.with_streaming_response.create(**order) as response:
                lines = [line for line in response.iter_lines() if line]
                return [json.loads(line.removeprefix("data: ")) for line in lines], response.headers["x-request-id"]

        events, stream_id = await with_sdk(there, ask)
        assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
        joined = b"".join([base64.b64decode(event["audio"]) for event in events[:-1]])
        async with there.http.get(f"{there.url}/v1/streams/{stream_id}/audio.wav") as heard:
            whole = await heard.read()
        # A whole file's header tells its length, which nobody knew when the stream began.
        assert joined[44:] == whole[44:]
        assert events[-1]["type"] == "speech.audio.done"
        usage = events[-1]["usage"]
        assert (usage["characters"], usage["settled"]) == (len(TEXT), True)
        assert usage["audio_seconds"] == pytest.approx(len(decoded(joined, "wav")) / 24000, abs=0.1)


async def test_a_failure_among_the_events_is_raised_by_the_sdk() -> None:
    """Its reader of streams knows the error event."""
    async with bench() as there, sdk(there) as client:
        stream = await client.post(
            "/audio/speech",
            body=sung("scale seconds=6 error after=3") | {"stream_format": "sse"},
            cast_to=object,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        events: list[Any] = []

        async def read() -> None:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before the error is wanted

        with pytest.raises(openai.APIError) as failed:
            await read()
        assert failed.value.code == "upstream_failed"
        assert {event["type"] for event in events} == {"speech.audio.delta"}


async def test_speed_and_instructions_reach_the_model() -> None:
    """Half as fast takes about twice as long."""
    async with bench() as there, sdk(there) as client:
        lengths = []
        for speed in (1.0, 0.5):
            answer = await client.audio.speech.create(
                **SPEECH, speed=speed, response_format="pcm", instructions="Speak calmly."
            )
            lengths.append(len(answer.content))
        assert lengths[1] / lengths[0] == pytest.approx(2.0, abs=0.25)


async def test_openais_names_work_where_the_configuration_gives_them_a_meaning() -> None:
    """`tts-1` and `alloy`, and the answer tells who has spoken; another of its voices is refused."""
    aliases = {"tts-1": SpeechAlias(model="cosyvoice-v3-flash", voices={"alloy": "longanyang"})}
    async with bench(upstream=Upstream(speech_aliases=aliases)) as there, sdk(there) as client:
        answer = await client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
        assert answer.response.headers["X-Wavegate-Model"] == "cosyvoice-v3-flash"
        with pytest.raises(openai.BadRequestError) as refused:
            await client.audio.speech.create(model="tts-1", voice="nova", input=TEXT)
        assert refused.value.param == "voice"
        models = [model async for model in client.models.list()]
        assert models[-1].id == "tts-1"


async def test_the_sdk_lists_models() -> None:
    """As its own type, each by itself as well; one that is not here is its NotFoundError."""
    async with bench() as there:

        def ask(client: OpenAI) -> tuple[list[Model], Model]:
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve("gpt-4o-mini-tts")
            return list(client.models.list()), client.models.retrieve("cosyvoice-v3-flash")

        models, one = await with_sdk(there, ask)
        assert one in models
        assert all(type(model) is Model and model.object == "model" and model.created > 0 for model in models)


# -- refusals --------------------------------------------------------------------------------------------------------


async def test_each_refusal_is_the_sdks_own_exception() -> None:
    """With our code and the field; nothing that cannot succeed is sent again."""
    cases: list[tuple[dict[str, Any], str, type[openai.APIStatusError], str, str | None]] = [
        (SPEECH | {"speed": 9.0}, KEY, openai.BadRequestError, "invalid_input", "speed"),
        (SPEECH | {"model": "gpt-4o-mini-tts"}, KEY, openai.BadRequestError, "invalid_input", "model"),
        (SPEECH | {"extra_body": {"pitch": 2}}, KEY, openai.BadRequestError, "invalid_request", "pitch"),
        (SPEECH, "wg_nobody", openai.AuthenticationError, "bad_credentials", None),
        (sung("scale inspection"), KEY, openai.UnprocessableEntityError, "content_rejected", None),
        (sung("scale denied"), KEY, openai.InternalServerError, "upstream_refused", None),
    ]
    async with bench() as there:
        for order, key, raised, code, param in cases:
            async with sdk(there, key=key) as client:
                with pytest.raises(raised) as refused:
                    await client.audio.speech.create(**order)
                assert (refused.value.code, refused.value.param) == (code, param)
        assert len(await bought(there)) == 2, "each song was ordered once"


async def test_limits_are_rate_limit_errors() -> None:
    """With the time to wait, and nothing was bought."""
    limits = Limits(streams_per_minute=1)
    tenants = [Tenant(id="acme", keys=[key_hash(KEY)], limits=limits)]
    async with bench(tenants=tenants) as there, sdk(there, max_retries=0) as client:
        await client.audio.speech.create(**SPEECH)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.audio.speech.create(**SPEECH)
        assert refused.value.code == "rate_exceeded"
        assert 0 < int(refused.value.response.headers["Retry-After"]) <= 60
        assert len(await bought(there)) == 1


async def test_a_client_that_leaves_gives_up_what_its_tenant_gives_up() -> None:
    """Where nobody is left who listens, the policy decides, as for any stream."""
    tenants = [Tenant(id="acme", keys=[key_hash(KEY)], abandon="cancel")]
    async with bench(speed=1.0, tenants=tenants) as there, sdk(there) as client:
        async with client.audio.speech.with_streaming_response.create(**sung("scale seconds=60")) as response:
            stream_id = response.headers["X-Wavegate-Stream-Id"]
            await anext(response.iter_bytes(1024))
        async with asyncio.timeout(PATIENCE):
            while (await there.info(stream_id))["status"] == "running":  # noqa: ASYNC110 - a stream tells only its listeners
                await asyncio.sleep(0.05)
        assert (await there.info(stream_id))["error"]["code"] == "cancelled"


async def test_a_ticket_is_as_good_as_a_key() -> None:
    """In the place of the key, for as many orders as it allows."""
    async with bench() as there:
        body = {"allow": ["create"], "uses": 1}
        async with there.http.post(f"{there.url}/v1/tickets", json=body) as response:
            ticket = (await response.json())["ticket"]
        async with sdk(there, key=ticket) as client:
            assert (await client.audio.speech.create(**SPEECH)).content
            with pytest.raises(openai.AuthenticationError) as refused:
                await client.audio.speech.create(**SPEECH)
            assert refused.value.code == "ticket_used"


# -- retries ---------------------------------------------------------------------------------------------------------


async def test_the_sdks_retry_after_a_broken_body_buys_nothing() -> None:
    """A song that breaks off is paid for as far as it came: the second try hears why, and there is no third."""
    async with bench() as there, sdk(there, max_retries=2) as client:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.audio.speech.create(**sung("scale seconds=6 error after=3"))
        assert failed.value.code == "upstream_failed"
        (stream,) = await bought(there)
        assert (failed.value.request_id, stream["status"]) == (stream["id"], "failed")


async def test_the_sdks_retry_after_a_timeout_buys_nothing() -> None:
    """The song goes on while its buyer loses patience, and is heard from its first byte by the second try."""
    async with bench() as there, sdk(there, max_retries=1) as client:
        answer = await client.with_options(timeout=0.6).audio.speech.create(**sung("scale seconds=2 wait=1"))
        assert len(decoded(answer.content, "mp3")) / 24000 == pytest.approx(2.0, abs=0.1)
        (stream,) = await bought(there)
        assert answer.response.headers["X-Request-Id"] == stream["id"]


async def test_an_idempotency_key_of_the_sdks_user_is_honoured() -> None:
    """Two calls, one purchase, the same bytes."""
    async with bench() as there, sdk(there) as client:
        order = SPEECH | {"extra_headers": {"Idempotency-Key": "order-17"}}
        one, two = [(await client.audio.speech.create(**order)).content for _ in range(2)]
        assert one == two
        assert len(await bought(there)) == 1


async def test_no_key_is_ever_written_down(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the tenant's nor the provider's, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    async with bench() as there, sdk(there, max_retries=0) as client:
        await client.audio.speech.create(**SPEECH)
        for order in (sung("scale bad_key"), sung("scale seconds=4 error after=2"), SPEECH | {"speed": 9.0}):
            with pytest.raises(openai.APIError):
                await client.audio.speech.create(**order)
        async with there.http.get(f"{there.internal}/debug/streams") as response:
            shown = await response.text()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("wavegate")]
    assert ours
    for text in (*ours, shown):
        assert KEY not in text
        assert PROVIDER_KEY not in text
        assert TEXT not in text
