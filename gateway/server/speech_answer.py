"""The answer to an order of speech: an audio body, or one of events, whose head waits for the first sound.

Until then a failure is a whole HTTP refusal with its own status. Invariant: the client is a listener from the moment of
its order, so it counts as one, and its leaving is noticed at once; a body that was begun and cannot be finished breaks
off and never looks whole, a body of events ends with the error. It must not know orders, models or tenants.
"""

import asyncio
from collections.abc import Callable, Mapping

from gateway.errors import WavegateError
from gateway.model import Chunk, Principal
from gateway.protocol import frames, openai
from gateway.relay.outcome import Outcome
from gateway.server.heads import head, headers_of
from gateway.server.progressive import AudioConnection
from gateway.server.rest import refusal
from gateway.server.view import usage
from transcode.formats import PCM, Format

# How long a client is told nothing at all before its first sound. Proxies give up on an answer that has not begun
# within a minute; once its head is there they wait for a minute more.
HEAD_SECONDS = 45.0


def said_of(form: Format, *, events: bool) -> dict[str, str]:
    """What the head says of the body, in the words that OpenAI's clients know."""
    headers = headers_of(form, None)
    if events:
        headers["Content-Type"] = "text/event-stream; charset=utf-8"
    elif form is PCM:
        headers["Content-Type"] = "audio/pcm;rate=24000;channels=1"
    return headers


def wire_form(*, events: bool, modern: bool) -> Callable[[Chunk], bytes]:
    """How a chunk is written: as an event or as it is, in chunks of HTTP/1.1 or up to the end of the connection."""
    if events:
        return openai.delta_chunked if modern else openai.delta
    return frames.chunked if modern else frames.plain


class SpeechConnection(AudioConnection):
    """The socket of one order. `headers` are said with the head; `always` in a refusal in its place as well."""

    __slots__ = ("_always", "_due", "_events", "_modern", "_told")

    def __init__(
        self,
        now: Callable[[], float],
        on_gone: Callable[[str], None],
        principal: Principal,
        *,
        events: bool,
        modern: bool,
        headers: Mapping[str, str],
        always: Mapping[str, str],
    ) -> None:
        super().__init__(now, wire_form(events=events, modern=modern), on_gone, principal)
        coding = {"Transfer-Encoding": "chunked"} if modern else {}
        self._told = head(200, {**headers, **always, **coding})
        self._events = events
        self._modern = modern
        self._always = dict(always)
        self._due: asyncio.TimerHandle | None = None
        self.head = lambda _: self._settled()

    def wait(self, seconds: float = HEAD_SECONDS) -> None:
        """The head goes out after so long whether there is sound or not."""
        self._due = asyncio.get_running_loop().call_later(seconds, self._begin)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._settled()

    def eof_received(self) -> bool:
        """Gone. A player may say all it has to say and listen on; clients of an API do not, and are let go at once."""
        return False

    def refused(self, error: WavegateError) -> None:
        if self.head is not None:
            self._refuse(error)
        else:
            super().refused(error)

    def ended(self, outcome: Outcome) -> None:
        """In order if it is whole. What its buyer's budget has cut short is not, here: a file would look like one."""
        if self.head is not None and outcome.error is not None:
            self._refuse(outcome.error)
            return
        self._begin()
        if self._events:
            last = openai.done(usage(outcome.bill)) if outcome.error is None else openai.failed(outcome.error)
            self.write(openai.transfer_chunk(last) if self._modern else last)
        if self._modern:
            if self._events or outcome.error is None:
                self.write(openai.LAST_CHUNK)
        elif outcome.error is not None and not self._events:
            # Nothing but a reset tells a client of HTTP/1.0 that this is not the end.
            self.cut()
            return
        self._finish()

    def _begin(self) -> None:
        """The head goes out, unless it has, or somebody else's was said."""
        if self.head is not None:
            self.write(self._settled())

    def _refuse(self, error: WavegateError) -> None:
        """A whole answer of its own, the same that any door gives."""
        self._settled()
        response = refusal(error)
        assert isinstance(response.body, bytes)
        length = {"Content-Length": str(len(response.body))}
        self.write(head(response.status, {**response.headers, **length, **self._always}) + response.body)
        self._finish()

    def _settled(self) -> bytes:
        """The head, and nothing else is to be said in its place from now on."""
        self.head = None
        if self._due is not None:
            self._due.cancel()
            self._due = None
        return self._told
