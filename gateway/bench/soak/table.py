"""What is left of a gateway after the soak, beside what there was before it, and the account of every second.

Invariant: each line that is compared is a target; what a call of the provider cost is looked for in the ledger call by
call, and what is in no row is unexplained unless its song was broken off, or asked for again, before its number was
known. It must not know how any of it came about.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.bench import money
from gateway.bench.crowd.orders import Found
from gateway.bench.gathering import faults
from gateway.bench.money import Charge
from gateway.bench.report import Row
from gateway.bench.soak.count import Count
from gateway.bench.soak.state import State

MOST_MIB = 24.0
# Of two codec workers, each with the most encodes at once that it has had; those that were killed begin anew.
MOST_CODEC_MIB = 64.0
# The loop's executor begins a thread whenever all that it has are busy, and never has more than these.
MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)
_MIB = 1 << 20
_WORDS = {
    "files": "open files",
    "sockets": "of them sockets",
    "threads": "threads",
    "processes": "processes",
    "tasks": "tasks of the loop",
    "workers": "codec workers",
    "listeners": "listeners",
    "running": "running streams",
    "kept": "streams in memory",
    "kept_bytes": "bytes of sound in memory",
    "connections": "connections",
    "encodes": "encodes",
    "calls": "calls at the provider",
    "waiting": "orders that wait",
}


def state_rows(before: State, after: State) -> list[Row]:
    """Of each figure, how much more there is than before; only memory may be more, by a stated amount."""
    more = after.more(before)
    rows = [
        Row(
            name,
            more[of] / _MIB,
            "MiB more",
            most,
            f"{getattr(before, of) / _MIB:.0f} before, {getattr(after, of) / _MIB:.0f} after",
            digits=1,
        )
        for of, name, most in (
            ("memory", "memory", MOST_MIB),
            ("codec_memory", "memory of codec workers", MOST_CODEC_MIB),
        )
    ]
    for of, name in _WORDS.items():
        was, now = getattr(before, of), getattr(after, of)
        # One that is missing is as wrong as one too many, where the gateway keeps a number of them itself.
        off = abs(now - was) if of == "workers" else more[of]
        most = MOST_THREADS if of == "threads" else 0.0
        rows.append(Row(name, off, "more", most, f"{was} before, {now} after", digits=0))
    return rows


def guest_rows(count: Count, crowd: Found) -> list[Row]:
    """What guests and listeners did, and what was wrong for them."""
    wrong, words = faults(crowd)
    groups = crowd.groups.values()
    missing = sum(group.ended - group.whole for group in groups)
    heard = sum(group.heard for group in groups)
    joined = sum(group.joined for group in groups)
    return [
        Row("what guests did", sum(count.done.values()), "", None, count.told(count.done), digits=0),
        Row("refusals", sum(count.refusals.values()), "", None, count.told(count.refusals), digits=0),
        Row("wrong for guests", sum(count.faults.values()), "", 0.0, "; ".join(count.words), digits=0),
        Row("listeners of the crowd", joined, "", None, f"heard {heard} frames, every byte compared", digits=0),
        Row("lost or wrong for the crowd", wrong + missing, "", 0.0, words, digits=0),
    ]


def book_rows(ledger: list[dict[str, Any]], charges: Mapping[str, Charge], retries: int) -> list[Row]:
    """The ledger against the provider's account; `retries` is how often a generation was asked for again."""
    known = {row["provider_request_id"] for row in ledger}
    unknown = {name: charge.seconds for name, charge in charges.items() if name not in known and charge.seconds}
    nameless = sum(row["provider_request_id"] is None for row in ledger)
    calls = max(0, len(unknown) - nameless - retries)
    rows = [row for row in money.rows(ledger, charges, {}) if row.name != "visits"]
    told = f"{len(unknown)} calls of {sum(unknown.values()):.3f} s, {nameless} songs without one, {retries} asked again"
    return [*rows, Row("calls that nobody can explain", calls, "", 0.0, told, digits=0)]


def complaint_rows(complaints: Sequence[str]) -> list[Row]:
    """What was written to standard error: a traceback is a fault of ours, whatever was done."""
    traces = [number for number, line in enumerate(complaints) if line.startswith("Traceback")]
    first = complaints[max(0, traces[0] - 1)] if traces else ""
    return [
        Row("lines of complaint", len(complaints), "", None, complaints[-1] if complaints else "", digits=0),
        Row("tracebacks among them", len(traces), "", 0.0, first, digits=0),
    ]
