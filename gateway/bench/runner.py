"""Any bench from its order to its exit code: its parts in order, a table of them, and a document.

Invariant: parts are measured one after the other, so none disturbs another, and each is printed as soon as it is done.
It must not know how a part measures.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from gateway.bench.benches import BENCHES, DONE, FAILED, BenchError, Order
from gateway.bench.machine import machine
from gateway.bench.progress import Progress
from gateway.bench.report import Row, Section, document, summary, text
from gateway.bench.usage import others_cpu

Tell = Callable[[str], None]
Measure = Callable[[str, Tell], Sequence[Row]]


def chosen(name: str, order: Order) -> list[str]:
    """The parts of a bench that are ordered, in the bench's order."""
    return [part for part in BENCHES[name].parts if not order.only or part in order.only]


def run(name: str, order: Order, out: TextIO, err: TextIO, measure: Measure, how: Mapping[str, str]) -> int:
    """Measures what is ordered of one: `measure` gives the figures of a part, `how` its words. Raises BenchError."""
    if order.json is not None:
        _write(order.json, "")
    titles = BENCHES[name].parts
    here, width = machine(), shutil.get_terminal_size().columns
    out.write(here.text())
    sections = []
    progress = Progress(err)
    for part in chosen(name, order):

        def tell(what: str, part: str = part) -> None:
            progress.tell(f"{part}: {what}")

        begin, before = time.perf_counter(), others_cpu(os.getpid())
        rows = measure(part, tell)
        after, seconds = others_cpu(os.getpid()), time.perf_counter() - begin
        others = None if before is None or after is None else max(0.0, after - before) / seconds
        section = Section(part, titles[part], how[part], rows, others)
        sections.append(section)
        progress.clear()
        out.write(text(section, width))
        out.flush()
    out.write(summary(sections))
    if order.json is not None:
        asked = {"seconds": order.seconds, "rounds": order.rounds, "listeners": order.listeners}
        found = {"bench": name, "machine": asdict(here), **asked, "rows": document(sections)}
        _write(order.json, json.dumps(found, indent=2) + "\n")
    missed = any(row.verdict not in ("", "ok") for section in sections for row in section.rows)
    return FAILED if missed and order.strict else DONE


def _write(file: Path, words: str) -> None:
    try:
        file.write_text(words, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{file} cannot be written: {error.strerror}.") from None
