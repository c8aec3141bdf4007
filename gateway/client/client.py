"""The front door of the Python client: order a song or join one.

    async with Client("http://127.0.0.1:8080", key="demo") as client:
        song = await client.create(prompt="城市夜雨，温柔的钢琴")
        async for frame in song:
            file.write(frame.payload)

Every song has a connection of its own: several songs are several connections. Invariant: what a client opened is closed
when its `async with` ends. It must not know what a song does with its connection.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from gateway.client.address import door
from gateway.client.backoff import BackOff, Patience
from gateway.client.connection import SILENCE_SECONDS, Connection, open_connection
from gateway.client.credentials import Credentials, Ticket
from gateway.client.ending import ABNORMAL, CREDENTIALS_EXPIRED, Ending
from gateway.client.errors import ClientError
from gateway.client.ordering import place
from gateway.client.rest import Door, Minted
from gateway.client.song import Means, Song
from gateway.model import Position
from gateway.protocol.events import StreamInfo, UsageReport
from gateway.protocol.messages import FormatChoice, FormatSpec, InputSpec, Since, StreamAttach, StreamCreate, TicketBody

# How long a wish to join may stay unanswered.
ANSWER_SECONDS = 30.0

Framing = Literal["framed", "json"]
Mode = Literal["stream", "file"]
OnLag = Literal["complete", "live"]
Format = str | FormatSpec | Sequence[str | FormatSpec]
"""A name (mp3 wav pcm ogg webm aac mp4 flac), a `FormatSpec` with wishes, or several of these, best first."""
Where = Literal["start", "live"] | float | Position


class Client:
    """A gateway, seen by one tenant (`key`) or one guest (`ticket`: a string, or a coroutine function that gets one).

    `server` is http(s):// or ws(s)://. A ticket function is asked before every connection, so tickets that can be used
    once survive reconnects. `patience` says how long a song is tried for whose connection broke. `silence` is how many
    seconds a gateway may say nothing before it is asked whether it is there; `now`, `sleep` and `jitter` are for tests.

    `create` orders a song, `speak` a text that is said, `attach` joins either; they give a `Song`, an async iterator of
    frames. `streams`, `info`, `cancel`, `ticket` and `usage` are single questions. Everything raises ClientError, and
    what a ticket function raises; making a client raises `invalid_server`, `invalid_key`, `invalid_ticket`,
    `missing_credentials`.
    """

    def __init__(
        self,
        server: str,
        *,
        key: str | None = None,
        ticket: Ticket | None = None,
        patience: Patience | None = None,
        silence: float = SILENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._credentials = Credentials(key, ticket)
        self._url = door(server)
        self._patience = patience or Patience()
        self._silence = silence
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._songs: set[Song] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops listening to every song of this client."""
        await asyncio.gather(*(song.close() for song in tuple(self._songs)))

    # -- ordering --------------------------------------------------------------------------------------------------

    async def create(
        self,
        *,
        prompt: str | None = None,
        lyrics: str | None = None,
        model: str | None = None,
        mode: Mode = "stream",
        gender: str | None = None,
        is_instrumental: bool = False,
        enable_aigc_watermark: bool = False,
        input_format: str | None = None,
        format: Format | None = "mp3",  # noqa: A002 - the field's name in the contract
        framing: Framing = "framed",
        on_lag: OnLag = "complete",
        share: bool = False,
        abandon: str | None = None,
        idempotency_key: str | None = None,
    ) -> Song:
        """Orders a song and listens to it from its start. Raises ClientError.

        What to sing: `prompt`, `lyrics` (which count, if both are given), `gender`, `is_instrumental`; `model` is the
        gateway's default if it is None. `input_format` is what the provider makes (mp3 or wav), `format` what is heard:
        a name (mp3 wav pcm ogg webm aac mp4 flac), a `FormatSpec` with wishes, or several of these, best first.
        `share` takes the tenant's own stream of this very song where there is one. `abandon` is what becomes of it when
        everybody has left: `finish`, `cancel`, or a time such as `30s`.

        An order is bought once. If the connection breaks before the answer, it is made again under its
        `idempotency_key` (a new one, unless it is given), and the gateway answers with the song that it ordered then.
        Give a key of your own to make the same order again later, also from another process.
        """
        sung = InputSpec(
            prompt=prompt,
            lyrics=lyrics,
            gender=gender,
            is_instrumental=is_instrumental,
            format=input_format,
            enable_aigc_watermark=enable_aigc_watermark,
        )
        return await self._order(sung, model, mode, format, framing, on_lag, share, abandon, idempotency_key)

    async def speak(
        self,
        text: str,
        *,
        voice: str,
        model: str,
        mode: Mode = "stream",
        sample_rate: int | None = None,
        volume: int | None = None,
        rate: float | None = None,
        pitch: float | None = None,
        seed: int | None = None,
        instruction: str | None = None,
        instructions: str | None = None,
        optimize_instructions: bool = False,
        language_type: str | None = None,
        language_hints: tuple[str, ...] = (),
        enable_ssml: bool = False,
        input_format: str | None = None,
        format: Format | None = "mp3",  # noqa: A002 - the field's name in the contract
        framing: Framing = "framed",
        on_lag: OnLag = "complete",
        share: bool = False,
        abandon: str | None = None,
        idempotency_key: str | None = None,
    ) -> Song:
        """Orders a text that is said by a voice, as `create` does a song. Raises ClientError.

        `volume` is 0 to 100, `rate` and `pitch` are factors, `sample_rate` in Hz; what is None is the provider's own.
        CosyVoice takes `instruction` and `language_hints`, Qwen-TTS `instructions`, `optimize_instructions` and
        `language_type`; a field that means nothing to the model is refused before something is bought.
        """
        said = InputSpec(
            text=text,
            voice=voice,
            format=input_format,
            sample_rate=sample_rate,
            volume=volume,
            rate=rate,
            pitch=pitch,
            seed=seed,
            instruction=instruction,
            instructions=instructions,
            optimize_instructions=optimize_instructions,
            language_type=language_type,
            language_hints=language_hints,
            enable_ssml=enable_ssml,
        )
        return await self._order(said, model, mode, format, framing, on_lag, share, abandon, idempotency_key)

    async def _order(
        self,
        wanted: InputSpec,
        model: str | None,
        mode: Mode,
        form: Format | None,
        framing: Framing,
        on_lag: OnLag,
        share: bool,
        abandon: str | None,
        once: str | None,
    ) -> Song:
        order = StreamCreate(
            ref="create",
            input=wanted,
            model=model,
            mode=mode,
            format=_choice(form),
            framing=framing,
            on_lag=on_lag,
            share=share,
            abandon=abandon,
            idempotency_key=str(uuid.uuid4()) if once is None else once,
        )
        ordered_at = self._now()
        # One for all its repeats: a ticket's keys are its own, with another ticket it would be another order.
        ticket = await self._credentials.ticket()

        async def connect() -> Connection:
            return await self._open(ticket, renewable=False)

        placed = await place(order, connect, self._backoff(), self._sleep)
        attach = StreamAttach(
            ref="attach", stream_id=placed.info.id, format=order.format, framing=framing, on_lag=on_lag
        )
        song = self._song(placed.connection, attach, placed.info, ordered_at, placed.repeats)
        for message in placed.told:
            song.tell(message)
        return song

    # -- joining ---------------------------------------------------------------------------------------------------

    async def attach(
        self,
        stream_id: str,
        *,
        since: Where = "start",
        format: Format | None = None,  # noqa: A002 - the field's name in the contract
        framing: Framing = "framed",
        on_lag: OnLag = "complete",
        burst_ms: int | None = None,
    ) -> Song:
        """Joins a song. Raises ClientError, `stream_not_found` among others.

        `since` is where to begin: its start, the live edge (and `burst_ms` before it), so many seconds before that, or
        a `Song.position` to go on from. `on_lag` says what becomes of audio that was not taken in time: all of it,
        later, or the live edge. Without a `format` it is the provider's own.
        """
        attach = StreamAttach(
            ref="attach",
            stream_id=stream_id,
            since=_since(since),
            format=_choice(format),
            framing=framing,
            on_lag=on_lag,
            burst_ms=burst_ms,
        )
        ordered_at = self._now()
        try:
            connection = await self._connect()
        except Ending as ending:
            raise ending.error() from ending
        song = self._song(connection, attach, None, ordered_at)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await song.confirm()
        except TimeoutError:
            await song.close()
            sentence = f"The gateway has not answered within {ANSWER_SECONDS:.0f} s."
            raise ClientError("no_answer", sentence, retryable=True, close_code=ABNORMAL) from None
        except BaseException:
            await song.close()
            raise
        return song

    def _song(
        self, connection: Connection, attach: StreamAttach, info: StreamInfo | None, ordered_at: float, repeats: int = 0
    ) -> Song:
        means = Means(self._connect, self._sleep, self._now, self._songs.discard)
        song = Song(connection, attach, info, means, self._backoff(), ordered_at, repeats)
        self._songs.add(song)
        return song

    def _backoff(self) -> BackOff:
        return BackOff(self._patience, self._jitter, self._now)

    async def _connect(self) -> Connection:
        return await self._open(await self._credentials.ticket(), renewable=self._credentials.renewable)

    async def _open(self, ticket: str | None, *, renewable: bool) -> Connection:
        try:
            return await open_connection(self._url, key=self._credentials.key, ticket=ticket, silence=self._silence)
        except Ending as ending:
            # To come back at once, as the contract says, helps who can bring other credentials.
            raise ending.final() if ending.code == CREDENTIALS_EXPIRED and not renewable else ending from None

    # -- single questions ------------------------------------------------------------------------------------------

    async def streams(self) -> list[StreamInfo]:
        """The tenant's streams that are kept, newest first. Takes a key. Raises ClientError."""
        return await (await self._door()).streams()

    async def info(self, stream_id: str) -> StreamInfo:
        """What there is to know of a stream, with `urls` for players. Raises ClientError `stream_not_found`."""
        return await (await self._door()).stream(stream_id)

    async def cancel(self, stream_id: str) -> StreamInfo:
        """Ends a generation, for everybody, and waits for its bill. Takes a key. Raises ClientError."""
        return await (await self._door()).cancel(stream_id)

    async def ticket(
        self,
        *,
        stream_id: str | None = None,
        allow: tuple[Literal["listen", "create"], ...] = ("listen",),
        ttl_seconds: int = 60,
        uses: int = 1,
        origin: str | None = None,
        max_audio_seconds: int | None = None,
    ) -> Minted:
        """A ticket for a guest, who must not hold the key, and until when it is good. Raises ClientError.

        `uses` of 0 is until it expires, `origin` the only page it is good on, `stream_id` the only stream,
        `max_audio_seconds` what may be bought with it in all.
        """
        wanted = TicketBody(stream_id, allow, ttl_seconds, uses, origin, max_audio_seconds)
        return await asyncio.to_thread((await self._door()).mint, wanted)

    async def usage(self, since: str | None = None, until: str | None = None, after: str | None = None) -> UsageReport:
        """A page of the tenant's ledger, from a day (`2026-03-01`) or moment up to but not including another.

        Without them it is this month so far. `after` is the last page's `next`. Takes a key. Raises ClientError.
        """
        return await (await self._door()).usage(**{"from": since, "to": until, "after": after})

    async def _door(self) -> Door:
        return Door(self._url, self._credentials.key, await self._credentials.ticket())


def _choice(form: Format | None) -> FormatChoice | None:
    return form if form is None or isinstance(form, str | FormatSpec) else list(form)


def _since(since: Where) -> str | Since:
    if isinstance(since, Position):
        return Since(epoch=since.epoch, seq=since.seq)
    return since if isinstance(since, str) else Since(seconds_ago=since)
