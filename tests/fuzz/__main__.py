"""The long run: `python -m tests.fuzz TARGET [--minutes 30]`, or `--list`.

With atheris, which sees the branches an input takes (`pip install atheris`); without it, blindly. What it learns on the
way is kept in `.venv-tests/fuzz/`, for the next run. Invariant: what is found is written as a file below
`corpus/TARGET/` before it is told, and the exit code is not 0. It must not know what a target does.
"""

import argparse
import hashlib
import importlib
import random
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.fuzz.mutation import made_up
from tests.fuzz.target import MOST_BYTES, Target

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
LEARNT = HERE.parents[1] / ".venv-tests" / "fuzz"
# Whose branches are looked at.
SEEN = ("gateway", "transcode", "websockets.frames", "websockets.protocol", "yaml")
# One input in seconds of the processor; the slowest that is right takes some hundredths.
SLOWEST = 5.0
MEMORY_MIB = 1024


class TooSlowError(Exception):
    """An input of a few KiB took seconds: somebody's time is not linear."""


def cases(name: str) -> dict[str, bytes]:
    """What was found earlier, by file name."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()}


def guarded(target: Target) -> Callable[[bytes], None]:
    """Its check, which leaves a file behind when it finds something."""

    def check(data: bytes) -> None:
        begun = time.process_time()
        try:
            target.check(data)
            if (taken := time.process_time() - begun) > SLOWEST:
                raise TooSlowError(f"{taken:.1f} s for {len(data)} bytes")
        except Exception:
            place = CORPUS / target.name
            place.mkdir(parents=True, exist_ok=True)
            found = place / hashlib.sha256(data).hexdigest()[:12]
            found.write_bytes(data)
            print(f"found: {found.relative_to(HERE)} {data[:200]!r}", flush=True)
            raise

    return check


def blindly(target: Target, minutes: float) -> int:
    """Until the time is over or something is found: how many inputs."""
    check, draw, count = guarded(target), random.Random(time.time_ns()), 0
    seeds = (*target.seeds, *cases(target.name).values())
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        check(made_up(draw, seeds, target.tokens))
        count += 1
    return count


def seeing(name: str, minutes: float) -> None:
    """The same by atheris, which ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(SEEN)):
        from tests.fuzz.catalogue import TARGETS
    target = TARGETS[name]
    learnt = LEARNT / name
    learnt.mkdir(parents=True, exist_ok=True)
    for at, seed in enumerate((*target.seeds, *cases(name).values())):
        (learnt / f"seed-{at}").write_bytes(seed)
    words = LEARNT / f"{name}.dict"
    words.write_text(
        "".join('"' + "".join(f"\\x{octet:02x}" for octet in token[:64]) + '"\n' for token in target.tokens)
    )
    atheris.Setup(
        [
            *(sys.argv[0], str(learnt), f"-dict={words}", f"-max_total_time={round(60 * minutes)}"),
            *(f"-max_len={MOST_BYTES}", f"-rss_limit_mb={MEMORY_MIB}", "-timeout=60", "-len_control=10"),
            f"-artifact_prefix={learnt.parent}/",
        ],
        guarded(target),
    )
    atheris.Fuzz()


def main() -> int:
    """The exit code: 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", help="its name; --list tells which there are")
    parser.add_argument("--list", action="store_true", help="the targets, and what each promises")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--blind", action="store_true", help="without atheris, also where it is installed")
    chosen = parser.parse_args()
    if not chosen.blind and not chosen.list and chosen.target:
        with suppress(ModuleNotFoundError):
            seeing(chosen.target, chosen.minutes)
    from tests.fuzz.catalogue import TARGETS

    if chosen.list or chosen.target not in TARGETS:
        for target in TARGETS.values():
            print(f"{target.name:12} {target.promises.splitlines()[0]}")
        return 0 if chosen.list else 2
    try:
        count = blindly(TARGETS[chosen.target], chosen.minutes)
    except Exception:
        traceback.print_exc()
        return 1
    print(f"{chosen.target}: {count} inputs, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
