"""What is asked about the provider that nobody has published: what one song answers, and what it cannot.

Invariant: every question is listed each time, with its answer or with what it would take; an answer says what was seen
and no more. It must not know how it was learned, nor where the lines are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.protocol.fun_music import LEGACY_PATH
from gateway.protocol.limits import PREVIEW
from gateway.upstream.probe.delivery import Delivery
from gateway.upstream.probe.findings import Coding, Findings, Result

NO_SOUND = "there was no sound"

# A shorter pause needs no heartbeat, so its absence would say nothing.
_SILENCE = 5.0


@dataclass(frozen=True, slots=True)
class Question:
    """`answer` is None when this song did not tell; then `instead` says what it takes."""

    topic: str
    answer: str | None
    instead: str = ""


def questions(found: Findings) -> list[Question]:
    """All of them, in a fixed order."""
    return [
        _pace(found),
        _mp3(found),
        _wav(found),
        _heartbeats(found),
        Question("How many songs at once", None, "takes many songs at once; the gateway finds it out as it works"),
        _disconnect(found),
        _time_budget(found),
        Question("Lyrics beyond the limits", None, "takes calls with lyrics that are too short and too long"),
        _older_path(found),
        _late_error(found),
        Question(f"Calls a minute of {PREVIEW}", None, "takes more calls than it allows"),
        _reasons(found),
        _http2(found),
        _file(found),
        _bill(found),
    ]


def split(asked: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """The answered and the others."""
    return [row for row in asked if row.answer is not None], [row for row in asked if row.answer is None]


def _pace(found: Findings) -> Question:
    topic = "First sound, slices, pace"
    came = found.delivery
    if came is None:
        return Question(topic, None, NO_SOUND)
    gap = f" every {came.median_gap:.2f} s" if came.median_gap is not None else ""
    return Question(
        topic,
        f"first sound after {came.timeline[0].at:.1f} s; {_count(len(came.timeline), 'slice')} of about "
        f"{came.median:,.0f} bytes{gap}; {came.overall:.2f} times real time over the whole call",
    )


def _mp3(found: Findings) -> Question:
    topic = "MP3: bitrate, tags, frames"
    came, coding = found.delivery, found.coding
    if came is None or coding is None:
        return Question(topic, None, NO_SOUND)
    if coding.codec != "mp3":
        return Question(topic, None, "takes a probe with --format mp3")
    if len(coding.bitrates) == 1:
        rate = f"constant {next(iter(coding.bitrates)) // 1000} kbit/s"
    else:
        low, high = min(coding.bitrates, default=0), max(coding.bitrates, default=0)
        rate = f"variable, {low // 1000} to {high // 1000} kbit/s, {(coding.bitrate or 0) / 1000:.0f} on average"
    tag = f"an ID3v2 tag of {coding.id3_bytes} bytes" if coding.id3_bytes else "no ID3v2 tag"
    index = f"{_an(coding.index)} frame" if coding.index else "no Xing or Info frame"
    return Question(topic, f"{rate}; {tag}; {index}; {aligned(came, coding)}")


def aligned(came: Delivery, coding: Coding) -> str:
    """Whether slices are cut between frames."""
    what = "frames" if coding.codec == "mp3" else "samples"
    if came.cuts == 0:
        return "a single slice"
    if came.cuts == came.on_border:
        return f"all cuts are between {what}"
    return f"{came.on_border:,} of {came.cuts:,} cuts are between {what}"


def _wav(found: Findings) -> Question:
    topic = "WAV: the header while streaming"
    if found.delivery is None or found.coding is None:
        return Question(topic, None, NO_SOUND)
    wav = found.coding.wav
    if wav is None:
        return Question(topic, None, "takes a probe with --format wav")
    return Question(
        topic,
        f"{wav.magic} of {wav.header} bytes ({', '.join(wav.chunks)}); {wav.form}; "
        f"{wav.found:,} bytes of samples came; {aligned(found.delivery, found.coding)}",
    )


def _heartbeats(found: Findings) -> Question:
    topic = "Heartbeats in silence"
    came, comments = found.delivery, found.wire.comments
    if came is None:
        return Question(topic, None, NO_SOUND)
    longest = max(came.before_sound, came.longest, key=lambda silence: silence.seconds)
    if comments == 0 and longest.seconds < _SILENCE:
        return Question(topic, None, f"no silence of {_SILENCE:g} s came, and no comment either")
    return Question(
        topic,
        f"{_count(comments, 'comment')} in all; {longest.comments} in the longest silence, {longest.seconds:.1f} s",
    )


def _disconnect(found: Findings) -> Question:
    topic = "The bill after a disconnect"
    if found.outcome == "interrupted" and found.request_id:
        return Question(topic, None, f"look for {found.request_id} in the provider's bill")
    return Question(topic, None, "takes a Ctrl-C in the middle of a song, and a look at the bill")


def _time_budget(found: Findings) -> Question:
    topic = "x-dashscope-timeout"
    if found.answer is None:
        return Question(topic, None, "there was no answer")
    return Question(topic, found.answer.headers.get("x-dashscope-timeout", "not sent"))


def _older_path(found: Findings) -> Question:
    topic = "The older path"
    if found.asked.path != LEGACY_PATH:
        return Question(topic, None, f"takes a probe with upstream.path {LEGACY_PATH}")
    if found.delivery is not None:
        return Question(topic, "still sings")
    if found.failure is not None and found.failure.provider_status is not None:
        return Question(
            topic, f"answers with {found.failure.provider_status} {found.failure.provider_code or ''}".rstrip()
        )
    return Question(topic, None, NO_SOUND)


def _late_error(found: Findings) -> Question:
    topic = "Errors after sound"
    if found.failure is None or found.delivery is None:
        return Question(topic, None, "none came")
    usage = "with" if found.said.usage else "without"
    kind = f"an error event ({found.failure.provider_code})" if found.failure.provider_code else found.failure.code
    return Question(topic, f"{kind} after {found.delivery.timeline[-1].seconds:.1f} s of sound, {usage} usage")


def _reasons(found: Findings) -> Question:
    topic = "Values of finish_reason"
    seen = ", ".join(f"{reason} {count} x" for reason, count in found.said.finish_reasons.items())
    return Question(topic, seen or None, "no event had one")


def _http2(found: Findings) -> Question:
    topic = "HTTP/2"
    if found.alpn is None:
        return Question(topic, None, "takes an https address that can be reached")
    offered = {"h2": "offered", "http/1.1": "not offered"}.get(found.alpn, "not negotiated")
    spoken = f"; this call spoke {found.answer.http}" if found.answer else ""
    return Question(topic, offered + spoken)


def _file(found: Findings) -> Question:
    topic = "The file behind the url"
    result = found.result
    if result is None:
        return Question(topic, None, "no url came")
    compared = comparison(result)
    return Question(topic, compared, result.failure or "it was not fetched")


def comparison(result: Result) -> str | None:
    """How the file compares with the slices, as the end of a sentence that begins with it."""
    compared = result.comparison
    if compared is None:
        return None
    where = f"byte {compared.at:,}" if compared.at is not None else ""
    if compared.seconds is not None:
        where += f" ({compared.seconds:.2f} s)"
    more = f"has {abs(compared.more):,} bytes {'more' if compared.more >= 0 else 'fewer'}"
    return {
        "identical": "identical to the joined slices",
        "same frames": "the same from the first frame on; what stands before differs",
        "same sound": "the same from the first sounding frame on; tag or index differ",
        "one goes on": f"the same up to {where}, then it {more}",
        "different": f"differs from {where} on, and {more}",
    }[compared.verdict]


def _bill(found: Findings) -> Question:
    topic = "What is billed"
    billed = found.said.billed_seconds
    if billed is None:
        return Question(topic, None, "no usage came")
    came = f" for {found.coding.seconds:.2f} s of sound" if found.coding else ""
    return Question(topic, f"{billed:g} s{came}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _an(word: str) -> str:
    return f"an {word}" if word[0] in "IuU" else f"a {word}"
