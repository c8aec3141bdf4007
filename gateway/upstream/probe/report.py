"""The report about one bought song: a text for a terminal of 80 columns, and files for whoever looks closer.

Invariant: whatever is written has gone through `redact` and holds neither key nor prompt, and no report that is there
already is written over, because it was paid for. It must not know how the numbers were found.
"""

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.config.secret import HIDDEN, Secret, redact
from gateway.upstream.probe.delivery import Delivery, Moment
from gateway.upstream.probe.findings import Coding, Findings, Result
from gateway.upstream.probe.questions import Question, aligned, comparison, questions, split

WIDTH = 80

_LABEL = 17
_BARS = " ▁▂▃▄▅▆▇█"

Row = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Discretion:
    """What must not be told: keys, and the words that were sung about."""

    secrets: Collection[Secret]
    prompt: str | None

    def keep(self, text: str) -> str:
        """The text without them."""
        text = redact(text, self.secrets)
        return text.replace(self.prompt, HIDDEN) if self.prompt else text


# -- for people --------------------------------------------------------------------------------------------------------


def text(found: Findings, discretion: Discretion) -> str:
    """The report, at most 80 columns wide, with a line feed at its end."""
    answered, open_ = split(questions(found))
    blocks = [
        _block(_title(found), _outcome(found)),
        _block("How it began (seconds after the call)", _beginning(found)),
        _block("How the sound came", _delivery(found.delivery, found.coding))
        if found.delivery and found.coding
        else "",
        _block("What the sound is", _coding(found.coding)) if found.coding else "",
        _block("What the provider said", _said(found)),
        _block("The file behind the result url", _result(found.result)) if found.result else "",
        _list("Answered by this song", answered),
        _list("Not answered by this song", open_) if found.delivery else "",
    ]
    return discretion.keep("\n".join(block for block in blocks if block))


def _title(found: Findings) -> str:
    return f"Wavegate {found.wavegate} probe: one song from {found.asked.host}"


def _outcome(found: Findings) -> Iterable[Row]:
    asked, failure, marks = found.asked, found.failure, found.marks
    simulated = found.answer is not None and found.answer.simulated
    yield "song", f"{asked.model}, {asked.format}, streamed; a prompt of {asked.prompt_characters} characters"
    yield "outcome", found.outcome
    if failure is not None:
        yield "error", f"{failure.code}: {failure.message}"
        yield "because", "; ".join(failure.details) or None
        theirs = " ".join(filter(None, (str(failure.provider_status or ""), failure.provider_code)))
        yield "provider's code", theirs or None
    yield "request id", found.request_id
    if simulated:
        yield "cost", "nothing: a simulator sang"
    elif found.said.billed_seconds is not None:
        cost = f", {found.said.cost_cny:.3f} CNY" if found.said.cost_cny is not None else ""
        yield "cost", f"{found.said.billed_seconds:g} s billed{cost}"
    elif marks.sent is None:
        yield "cost", "nothing: the call was never sent"
    elif found.answer is not None and found.answer.status != 200:
        yield "cost", "nothing should be: the call was refused"
    else:
        yield "cost", "unknown: the provider may still charge for this song"


def _beginning(found: Findings) -> Iterable[Row]:
    marks, answer, wire = found.marks, found.answer, found.wire
    yield "connected", _seconds(marks.connected)
    yield "call sent", _seconds(marks.sent)
    if answer is not None:
        yield "answer", f"{_seconds(marks.answered)}   {answer.http}, status {answer.status}"
    yield "first byte", _seconds(wire.first_byte)
    yield "first event", _seconds(wire.first_event)
    if found.delivery is not None:
        yield "first sound", _seconds(found.delivery.timeline[0].at)
        yield "last sound", _seconds(found.delivery.timeline[-1].at)
    yield "end", _seconds(marks.ended)


def _delivery(came: Delivery, coding: Coding) -> Iterable[Row]:
    sound = f", {coding.seconds:.2f} s of sound" if coding.codec else ""
    yield "slices", f"{len(came.timeline):,} with {came.timeline[-1].total:,} bytes{sound}"
    yield "bytes a slice", f"{came.smallest:,} least, {came.median:,.0f} median, {came.largest:,} most"
    if coding.codec:
        yield "alignment", aligned(came, coding)
    if came.median_gap is not None:
        yield "between slices", f"{came.median_gap:.3f} s median"
    for label, silence in (("before sound", came.before_sound), ("longest silence", came.longest)):
        yield label, f"{silence.seconds:.2f} s from {silence.begins:.2f} s on, {silence.comments} comments in it"
    if coding.codec:
        speeds = (f"{percent} % {'at once' if x is None else _times(x)}" for percent, x in came.speeds.items())
        yield "times real time", " · ".join(speeds)
        yield "", f"{_times(came.overall)} over the whole call"
        yield "head start", f"a player that starts {came.head_start:.2f} s after the first sound never runs dry"
    yield "arrival", arrival(came.timeline, WIDTH - _LABEL - 4)


def _coding(coding: Coding) -> Iterable[Row]:
    if coding.codec is None:
        yield "coding", "neither mp3 nor wav that can be read"
        return
    channels = {1: "mono", 2: "stereo"}.get(coding.channels, str(coding.channels))
    yield "coding", f"{coding.codec}, {coding.sample_rate:,} Hz, {channels}"
    if coding.bitrate is not None:
        yield "bitrate", f"{coding.bitrate / 1000:.1f} kbit/s on average"
    if coding.codec == "mp3":
        kinds = ", ".join(f"{rate // 1000}: {count:,}" for rate, count in coding.bitrates.items())
        yield "", f"{'constant' if len(coding.bitrates) == 1 else 'variable'} (frames by kbit/s: {kinds})"
        yield "ID3v2 tag", f"{coding.id3_bytes} bytes" if coding.id3_bytes else "none"
        encoder = f" by {coding.encoder}" if coding.encoder else ""
        yield "index frame", f"{coding.index}{encoder}" if coding.index else "none"
    if (wav := coding.wav) is not None:
        yield "header", f"{wav.magic}, {wav.header} bytes: {', '.join(wav.chunks)}"
        yield "declared sizes", f"{wav.riff:,} ({wav.riff:#010x}) the file, {wav.data:,} ({wav.data:#010x}) the samples"
        yield "", f"{wav.form}; {wav.found:,} came"
    if coding.bytes_between or coding.bytes_after:
        yield "not frames", f"{coding.bytes_between:,} bytes between frames, {coding.bytes_after:,} after the last"


def _said(found: Findings) -> Iterable[Row]:
    said, wire, answer = found.said, found.wire, found.answer
    yield "events", _counts(wire.events)
    yield "their statuses", _counts(wire.statuses)
    yield "lines", _counts(wire.fields)
    yield "line ends", _counts(wire.line_ends)
    yield "comments", f"{wire.comments} besides statuses" if wire.reads else None
    if wire.several_data_lines:
        yield "", f"{wire.several_data_lines} events with several data lines"
    yield "finish_reason", _counts(said.finish_reasons)
    for label, path, told in (("extra_info", "output.extra_info.", said.extra_info), ("usage", "usage.", said.usage)):
        yield label, msgspec.json.encode(told).decode() if told is not None else None
        types = (f"{at.removeprefix(path)} {' or '.join(of)}" for at, of in wire.types.items() if at.startswith(path))
        yield "", ", ".join(types) or None
    if answer is not None:
        for number, (name, value) in enumerate(sorted(answer.headers.items())):
            yield "" if number else "headers", f"{name}: {value}"
        yield "other headers", ", ".join(sorted(answer.others)) or None


def _result(result: Result) -> Iterable[Row]:
    yield "place", f"{result.scheme}://{result.host}/..." if result.host else "not a url"
    if result.expires_at is not None and 0 < result.expires_at < 1 << 33:
        yield "expires", f"{datetime.fromtimestamp(result.expires_at, UTC):%Y-%m-%d %H:%M} UTC"
    if result.bytes is None:
        yield "not fetched", result.failure or "the probe was stopped before"
        return
    yield "fetched", f"{result.bytes:,} bytes in {result.seconds_to_fetch or 0:.2f} s"
    yield "the file is", comparison(result)


def arrival(timeline: Sequence[Moment], width: int) -> str:
    """A line in which each place is a stretch of time since the call, the higher the more bytes came in it."""
    end = timeline[-1].at or 1.0
    cells = [0] * width
    for moment in timeline:
        cells[min(width - 1, int(moment.at / end * width))] += moment.bytes
    most = max(cells)
    return "".join(_BARS[-(-cell * (len(_BARS) - 1) // most)] for cell in cells).rstrip() if most else ""


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:8.3f}"


def _times(speed: float) -> str:
    return f"{speed:.2f}" if speed < 10 else f"{speed:.0f}"


def _counts(counted: Mapping[str, int]) -> str | None:
    return ", ".join(f"{name} {count:,}" for name, count in counted.items()) or None


def _block(title: str, rows: Iterable[Row]) -> str:
    lines = [title]
    for label, value in rows:
        if value is None:
            continue
        indent = " " * (_LABEL + 2)
        # A bar's spaces are part of it; anything else may be broken.
        broken = [value] if len(value) <= WIDTH - len(indent) else textwrap.wrap(value, WIDTH - len(indent))
        lines += [f"  {label if not n else '':<{_LABEL}}{part}" for n, part in enumerate(broken)]
    return "\n".join(lines) + "\n" if lines[1:] else ""


def _list(title: str, rows: Sequence[Question]) -> str:
    lines = [title]
    for row in rows:
        text = f"{row.topic}: {row.instead if row.answer is None else row.answer}."
        lines += textwrap.wrap(text, WIDTH - 2, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines) + "\n" if rows else ""


# -- for machines ------------------------------------------------------------------------------------------------------


def document(found: Findings, discretion: Discretion) -> bytes:
    """The findings and the questions as JSON."""
    whole = {**msgspec.to_builtins(found), "questions": msgspec.to_builtins(questions(found))}
    return discretion.keep(msgspec.json.format(msgspec.json.encode(whole)).decode()).encode() + b"\n"


def names(audio_format: str) -> tuple[str, str, str]:
    """The files of a report: itself, the joined slices, and the result's file where it is another."""
    return "report.json", f"slices.{audio_format}", f"result.{audio_format}"


def save(directory: Path, found: Findings, audio: bytes, file: bytes | None, discretion: Discretion) -> list[Path]:
    """Writes what there is and gives the paths. Blocks. Raises OSError, FileExistsError for what is there already."""
    contents = (document(found, discretion), audio, file if file != audio else None)
    saved = []
    for name, data in zip(names(found.asked.format), contents, strict=True):
        if data:
            path = directory / name
            with path.open("xb") as opened:
                opened.write(data)
            saved.append(path)
    return saved
