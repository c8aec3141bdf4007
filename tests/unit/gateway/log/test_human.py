"""What people see: durations and sizes as they say them, short ids, columns, lines that fit, colours.

Invariant: what is shown is compared as a whole.
They must not know records.
"""

import logging
import re

import pytest

from gateway.log.human import aligned, duration, shown, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0.4ms"),
        (0.0104, "10ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (9.994, "9.99s"),
        (9.996, "10.0s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (192.4, "3m12s"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
        (86400, "1d00h"),
        (273600, "3d04h"),
        (-1.5, "-1.50s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Three figures, and at each border the next unit."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1.0kB"), (999_950, "1.0MB"), (3_200_000, "3.2MB"), (5 * 10**16, "50000.0TB")],
)
def test_sizes(octets: int, text: str) -> None:
    """By thousands; beyond terabytes there is nothing."""
    assert size(octets) == text


def test_fields() -> None:
    """Units go to the values, ids are cut where they name it well enough, what has no value is left out."""
    fields = {
        "stream_id": "st_0123456789abcdef",
        "session_id": "se_1",
        "wall_seconds": 2,
        "egress_bytes": 2000,
        "bytes": 10,
        "code": None,
        "done": True,
        "kept_seconds": True,
    }
    assert shown(fields) == [
        ("stream", "st_01234567…"),
        ("session", "se_1"),
        ("wall", "2.00s"),
        ("egress", "2.0kB"),
        ("size", "10B"),
        ("done", "true"),
        ("kept_seconds", "true"),
    ]


FIELDS = [("tenant", "acme"), ("status", "failed"), ("code", "upstream_failed"), ("model", "fun-music-v1")]


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (0, ["t warn  stream.ended         tenant=acme status=failed code=upstream_failed model=fun-music-v1"]),
        (
            60,
            [
                "t warn  stream.ended         tenant=acme status=failed",
                "          code=upstream_failed model=fun-music-v1",
            ],
        ),
        (
            20,
            [
                "t warn  stream.ended",
                "          tenant=acme",
                "          status=failed",
                "          code=upstream_failed",
                "          model=fun-music-v1",
            ],
        ),
    ],
)
def test_columns(columns: int, lines: list[str]) -> None:
    """An entry takes as many lines as the terminal needs, and each field stands on one of them."""
    assert aligned("t", logging.WARNING, "stream.ended", FIELDS, columns=columns, colour=False) == lines


def test_a_wide_terminal_keeps_the_column() -> None:
    """What does not fit stands below the fields."""
    many = [(f"field{number}", "value") for number in range(12)]
    first, second = aligned("t", logging.INFO, "stream.ended", many, columns=120, colour=False)
    assert len(first) <= 120
    assert second.index("field") == first.index("field0")


def test_colours() -> None:
    """They add nothing but colours: the level's, and how it went; news of level debug is dim."""
    plain = aligned("t", logging.WARNING, "stream.ended", FIELDS, columns=60, colour=False)
    painted = aligned("t", logging.WARNING, "stream.ended", FIELDS, columns=60, colour=True)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted] == plain
    assert "\x1b[33mwarn \x1b[0m" in painted[0]
    assert "\x1b[31mfailed\x1b[0m" in painted[0]
    (quiet,) = aligned("t", logging.DEBUG, "x", [], columns=0, colour=True)
    assert quiet == "\x1b[2mt\x1b[0m \x1b[2mdebug\x1b[0m \x1b[2mx\x1b[0m"
    (loud,) = aligned("t", logging.CRITICAL, "x", [], columns=0, colour=True)
    assert "critical" in loud
