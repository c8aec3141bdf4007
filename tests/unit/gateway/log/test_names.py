"""The list of events is closed: what the code logs is in it, what is in it is logged, and logs.md says the same.

Invariant: the code is read, not run; a name that is chosen at run time must stand there as a string all the same.
They must not repeat a name.
"""

import ast
import logging
import re
from collections.abc import Iterator

from gateway.log.names import EVENTS, level_of
from tests.house.tree import ROOT, files

NAME = re.compile(r"[a-z]+\.[a-z_]+")
CALLS = {"event", "log_event"}
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of the code that logs, and where it is."""
    for path in files(ROOT, ["gateway", "transcode", "metrics"], ".py"):
        where, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        if where != "gateway/log/events.py" and ("getLogger(" in text or "gateway.log" in text):
            yield from ((where, node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def logged() -> set[str]:
    """Names that stand in calls of `event`, or that a variable in the same file can hold."""
    found: set[str] = set()
    for where, call in calls():
        named = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        first = call.args[0] if call.args else None
        if named not in CALLS or not (isinstance(first, ast.Call | ast.Name)) or len(call.args) != 2:
            continue
        if isinstance(first, ast.Name) and first.id != "logger":
            continue
        name = call.args[1]
        if isinstance(name, ast.Constant):
            assert isinstance(name.value, str), where
            found.add(name.value)
        else:
            text = (ROOT / where).read_text(encoding="utf-8")
            found |= {word for word in re.findall(r'"([^"\s]+)"', text) if word in EVENTS}
    return found


def test_what_is_logged_is_in_the_list_and_the_other_way_round() -> None:
    """No name is made up on the way, none is left over but the log's own."""
    assert logged() | {"log.dropped"} == set(EVENTS)


def test_there_is_one_way_to_log() -> None:
    """Nobody calls a logger's own methods."""
    found = [
        f"{where}:{call.lineno}"
        for where, call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in METHODS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in ("logger", "log", "logging")
    ]
    assert not found


def test_names_are_of_one_kind() -> None:
    """`noun.happened`, a level that can be set, a sentence, and no field twice in a key."""
    for name, row in EVENTS.items():
        assert NAME.fullmatch(name)
        assert row.level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
        assert row.sentence.endswith(".")
        assert row.key is None or len(set(row.key)) == len(row.key)
    assert (level_of("redis.away"), level_of("unheard.of")) == (logging.ERROR, logging.INFO)
