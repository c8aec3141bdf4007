"""Orders: what a client asked for becomes a song, or a refusal before anything is spent.

Invariant under test: REST and WebSocket order the same song with the same words.
It must not know the provider's limits beyond one that is broken.
"""

import pytest

from gateway.errors import RequestError
from gateway.model import Mode, Position, SpeechInput, SpeechRequest
from gateway.protocol.messages import CreateBody, FormatChoice, FormatSpec, InputSpec, Since, StreamAttach, StreamCreate
from gateway.relay.since import FromStart, SecondsAgo
from gateway.server.ordering import order_of, request_of, since_of, wishes
from tests.support.relay import BUYER, TENANT

WORDS = InputSpec(prompt="a song of five words")


@pytest.mark.parametrize(
    ("choice", "wished"),
    [
        (None, []),
        ("mp3", [FormatSpec("mp3")]),
        (FormatSpec("pcm", 24000, 1), [FormatSpec("pcm", 24000, 1)]),
        (["ogg", FormatSpec("mp3", bitrate=128000)], [FormatSpec("ogg"), FormatSpec("mp3", bitrate=128000)]),
        ([], []),
    ],
)
def test_a_format_is_a_list_of_wishes(choice: FormatChoice | None, wished: list[FormatSpec]) -> None:
    """A name, a specification or a list of both: always a list of specifications, best first."""
    assert wishes(choice) == wished


def test_both_doors_order_the_same_song() -> None:
    """Every field of the input arrives, the model is the configured one where none is named."""
    asked = InputSpec(prompt="a song of five words", gender="female", format="wav", enable_aigc_watermark=True)
    body, warnings = request_of(CreateBody(asked), "fun-music-v1")
    message, _ = request_of(StreamCreate(input=asked), "fun-music-v1")
    assert body == message
    assert (body.model, body.mode, warnings) == ("fun-music-v1", Mode.STREAM, [])
    assert (body.input.prompt, body.input.gender, body.input.format, body.input.enable_aigc_watermark) == (
        "a song of five words",
        "female",
        "wav",
        True,
    )
    named, _ = request_of(CreateBody(WORDS, model="fun-music-preview", mode="file"), "fun-music-v1")
    assert (named.model, named.mode) == ("fun-music-preview", Mode.FILE)


@pytest.mark.parametrize(
    ("wished", "ordered", "result"),
    [
        (None, None, "mp3"),
        ("wav", None, "wav"),
        ("mp3", None, "mp3"),
        (["wav", "mp3"], None, "wav"),
        (["ogg", "wav"], None, "wav"),
        ([], None, "mp3"),
        (FormatSpec("wav"), None, "wav"),
        (["mp3", "wav"], "wav", "wav"),
        ("ogg", None, "mp3"),
        ("wav", "mp3", "mp3"),
        (FormatSpec("mp3", sample_rate=8000), None, "mp3"),
    ],
)
def test_what_one_wants_to_hear_is_what_is_ordered(
    wished: FormatChoice | None, ordered: str | None, result: str
) -> None:
    """A client that names only what it wants to hear gets it ordered so; `input.format` counts where it is given."""
    message = StreamCreate(input=InputSpec(prompt=WORDS.prompt, format=ordered), format=wished)
    assert request_of(message, "fun-music-v1")[0].input.format == result


@pytest.mark.parametrize(
    ("wished", "ordered"),
    [
        ("midi", None),
        (["midi", "s3m"], "mp3"),
        ([FormatSpec("pcm", channels=6)], None),
        ([FormatSpec("flac", 96000)], "wav"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(wished: FormatChoice, ordered: str | None) -> None:
    """No song is bought that this client could not hear."""
    message = StreamCreate(input=InputSpec(prompt=WORDS.prompt, format=ordered), format=wished)
    with pytest.raises(RequestError) as refused:
        request_of(message, "fun-music-v1")
    assert refused.value.code == "unsupported_format"


def test_speech_is_ordered_by_its_model() -> None:
    """The model says which fields count; Qwen-TTS speaks wav where nothing else is named."""
    asked = InputSpec(text="Good morning.", voice="longanyang", rate=1.2, language_hints=("en",))
    spoken, warnings = request_of(CreateBody(asked, model="cosyvoice-v3-flash"), "fun-music-v1")
    said = SpeechInput("Good morning.", "longanyang", "mp3", rate=1.2, language_hints=("en",))
    assert (spoken, warnings) == (SpeechRequest("cosyvoice-v3-flash", Mode.STREAM, said), [])
    asked = InputSpec(text="Good morning.", voice="Cherry", language_type="English")
    spoken, _ = request_of(CreateBody(asked, model="qwen3-tts-flash"), "fun-music-v1")
    assert spoken.input == SpeechInput("Good morning.", "Cherry", "wav", language_type="English")


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        ("fun-music-v1", InputSpec(prompt=WORDS.prompt, text="Hello"), "input.text"),
        ("fun-music-v1", InputSpec(prompt=WORDS.prompt, voice="Cherry"), "input.voice"),
        ("cosyvoice-v3-flash", InputSpec(prompt=WORDS.prompt), "input.prompt"),
        ("cosyvoice-v3-flash", InputSpec(text="Hello"), "input.voice"),
        ("cosyvoice-v3-flash", InputSpec(voice="longanyang"), "input.text"),
        ("cosyvoice-v3-flash", InputSpec(text="Hello", voice="x", language_type="English"), "input.language_type"),
        ("qwen3-tts-flash", InputSpec(text="Hello", voice="Cherry", format="mp3"), "input.format"),
        ("qwen3-tts-flash", InputSpec(text="Hello", voice="Cherry", rate=1.5), "input.rate"),
        ("gpt-5", InputSpec(text="Hello"), "model"),
    ],
)
def test_a_field_that_means_nothing_to_the_model_is_refused(model: str, asked: InputSpec, param: str) -> None:
    """As is one that it needs and that is missing: nothing is bought that was not meant."""
    with pytest.raises(RequestError) as refused:
        request_of(CreateBody(asked, model=model), "fun-music-v1")
    assert (refused.value.code, refused.value.param) == ("invalid_input", param)


def test_an_unknown_mode_is_refused() -> None:
    """The mode is one of two, and the refusal names the field."""
    with pytest.raises(RequestError) as refused:
        request_of(CreateBody(WORDS, mode="later"), "fun-music-v1")
    assert (refused.value.code, refused.value.param) == ("invalid_input", "mode")


def test_the_providers_limits_are_checked_here() -> None:
    """What the provider would refuse is refused before anything is spent."""
    with pytest.raises(RequestError) as refused:
        request_of(CreateBody(InputSpec(prompt="short")), "fun-music-v1")
    assert (refused.value.code, refused.value.param) == ("invalid_input", "input.prompt")


@pytest.mark.parametrize(
    ("asked", "policy", "grace"),
    [
        (None, "finish", None),
        (None, "cancel", 0.0),
        (None, "30s", 30.0),
        ("finish", "cancel", None),
        ("2.5s", "finish", 2.5),
    ],
)
def test_an_order_may_differ_from_its_tenants_policy(asked: str | None, policy: str, grace: float | None) -> None:
    """What becomes of a song that everybody has left is the tenant's to say, and the order's to change."""
    order = order_of(CreateBody(WORDS, abandon=asked, share=True), BUYER, policy, "fun-music-v1")
    assert (order.tenant, order.grace, order.share, order.warnings) == (TENANT, grace, True, [])
    assert order.request == request_of(CreateBody(WORDS), "fun-music-v1")[0]


def test_a_policy_that_is_none_is_refused() -> None:
    """Before anything is spent."""
    with pytest.raises(RequestError) as refused:
        order_of(StreamCreate(input=WORDS, abandon="later"), BUYER, "finish", "fun-music-v1")
    assert refused.value.param == "abandon"


@pytest.mark.parametrize(
    ("since", "burst_ms", "where"),
    [
        ("start", None, FromStart()),
        ("start", 250, FromStart()),
        ("live", None, SecondsAgo(0.5)),
        ("live", 2000, SecondsAgo(2.0)),
        ("live", 0, SecondsAgo(0.0)),
        ("live", -5, SecondsAgo(0.0)),
        (Since(seconds_ago=0), None, SecondsAgo(0)),
        (Since(seconds_ago=2.5), None, SecondsAgo(2.5)),
        (Since(seconds_ago=1.0, epoch=3, seq=4), None, SecondsAgo(1.0)),
        (Since(epoch=3, seq=0), None, Position(3, 0)),
        (Since(epoch=0, seq=7), None, Position(0, 7)),
    ],
)
def test_every_wish_has_its_place(since: str | Since, burst_ms: int | None, where: object) -> None:
    """The two words, a time ago, and a position; `live` has a burst of its own."""
    assert since_of(StreamAttach(stream_id="s", since=since, burst_ms=burst_ms)) == where


@pytest.mark.parametrize(
    "since",
    [
        "", "noon", Since(), Since(seconds_ago=-0.1), Since(seconds_ago=float("nan")), Since(epoch=1), Since(seq=1),
        Since(epoch=1, seq=-1), Since(seconds_ago=-1, seq=1),
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(since: str | Since) -> None:
    """The refusal names the field and says what would do."""
    with pytest.raises(RequestError) as refused:
        since_of(StreamAttach(stream_id="s", since=since))
    assert (refused.value.code, refused.value.param) == ("invalid_request", "since")
