"""The log as a page for people: deploy/logs.md, made of the list of events and of the fields.

Invariant: what it says of an event is what the code says; what it says around that stands here and nowhere else.
It must not know where the page is kept.
"""

import logging

from gateway.log.names import EVENTS
from gateway.log.repetition import BURST, WINDOW_SECONDS
from gateway.log.writing import MOST_WAITING

# Fields that stand in many lines, or in those that alerts and bills are made of: name, what it is.
FIELDS: dict[str, str] = {
    "time": "UTC, ISO 8601 with milliseconds",
    "level": "`debug`, `info`, `warning`, `error`",
    "logger": "the room of the code, such as `wavegate.stream`",
    "event": "a name of the table above; of a library's record its text",
    "exception": "the traceback, where there is one",
    "stream_id": "of our API",
    "session_id": "of a WebSocket, as its client was told in `session.created`",
    "request_id": "of an HTTP request: its `X-Request-Id` if that is 1 to 64 letters, digits and `._-`, else made; "
    "it is answered as header, and stands in every line of what the request began, the generation too",
    "provider_request_id": "the provider's name for a generation: what its support asks for",
    "trace_id": "of OpenTelemetry, where `log.traces_endpoint` is set",
    "tenant": "who pays",
    "key": "the first 8 hex digits of a key's hash, never the key; `ticket` is a ticket's name, which opens nothing",
    "client": "the address of whoever connected",
    "code": "an error code of the API",
    "status": "`completed`, `failed`, `cancelled`; of a refused request its HTTP status",
    "model": "the provider's model; `mode` is `stream` or `file`",
    "words": "how long a prompt, lyrics or text is; its beginning if `log.prompts` is true",
    "queue_seconds": "waiting for a turn at the provider, all tries together",
    "first_audio_seconds": "from the turn to the provider's first sound",
    "audio_seconds": "sound that came; `settled_seconds` is what was billed, `cost` that by `quota.prices`",
    "wall_seconds": "from the order to the bill; of a session or playback from its begin to its end",
    "tries": "calls to the provider, 1 without a retry",
    "listeners": "at most at once; `joins` is how many came",
    "upstream_bytes": "from the provider; `egress_bytes` to listeners, of a stream up to its end",
    "formats": "made of it, its own first",
    "chunks": "of audio that this listener or session was sent; `heard_seconds` is their sound",
    "close_code": "of a WebSocket, `reason` the slug that went with it or came from the client",
    "agent": "the client's User-Agent, its first 60 characters",
    "repeated": "so many more of this event, with the same key, came `within_seconds` and were not written",
}


def document() -> str:
    """The whole page, in Markdown."""
    rows = [_row(name) for name in EVENTS]
    fields = [f"| `{name}` | {sentence} |" for name, sentence in FIELDS.items()]
    return _PAGE.format(
        events="\n".join(rows), fields="\n".join(fields), burst=BURST, window=f"{WINDOW_SECONDS:g}", most=MOST_WAITING
    )


def _row(name: str) -> str:
    event = EVENTS[name]
    same = "each is written" if event.key is None else ", ".join(f"`{field}`" for field in event.key)
    return f"| `{name}` | {logging.getLevelName(event.level).lower()} | {event.sentence} | {same} |"


_PAGE = """\
# What Wavegate logs

One line an event, on standard error: `log.format: console` for people, `json` for machines, one object a line.
Names and fields are stable. This page is made by `python -m gateway.log > deploy/logs.md`, and a test compares it.

- **One line a session, a playback and a stream**, when it ends: `session.ended`, `playback.ended`, `stream.ended`. For
  what it cost and how it was heard these are enough; the others tell of trouble, at level `debug` of steps.
- **Ids join**: `request_id`, `session_id`, `stream_id` and `provider_request_id` are on every line that is written
  while somebody works for them. Take the one that a user gives you, and look for it.
- **No secret and no prompt**: keys, tickets, `Authorization` and passwords in URLs are replaced by `***` wherever they
  stand, tracebacks included, and so is what people wrote. `log.prompts: true` shows the beginning of their words.
- **Repetitions are counted**: of events with the same key {burst} are written in {window} s; then one line with
  `repeated` tells how many more there were. Lines of streams, sessions and playbacks are never held back.
- **The log never stops the gateway**: a thread of its own writes the lines. If nobody reads them, {most} wait, further
  ones are lost, and `log.dropped` tells how many.
- The console form cuts ids short, and writes durations and sizes as people say them; the JSON form has all of it, in
  seconds and bytes. Colours are for terminals, unless `NO_COLOR` is set or `TERM` is `dumb`.

## Events

| event | level | happened | the same if these are |
|---|---|---|---|
{events}

## Fields

| field | is |
|---|---|
{fields}

## Traces

`pip install "wavegate[otel]"` and `log.traces_endpoint: http://collector:4318/v1/traces` send a trace a generation by
OTLP over HTTP. It is off without that key, whatever the environment says; with it the variables of OpenTelemetry hold
(`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`).

| span | from | to |
|---|---|---|
| `stream` | the order (below the request's `traceparent`, if it had one) | its bill; an event a listener that joins |
| `create` | the request is here | the ledger has reserved it |
| `queue` | it is reserved, or is to be tried again | its turn at the provider |
| `upstream` | its turn | the provider's last word; an event where the provider accepts it |
| `first_audio` | its turn | the provider's first sound |
| `settle` | the provider's last word | the ledger has the bill |

No prompt, text or key is in a trace.
"""
