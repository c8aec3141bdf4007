"""The processes that share the tests of one run: what they tell the one that judges, and what becomes of one that dies.

Invariant: a program that any of them missed is missing for the whole run, and the run fails when one of them ended
without its last word, even if every test had passed by then.
It must not deal out tests, and it must not know what is judged: pytest-xdist and `coverage_floors` do that.
"""

from collections.abc import Generator
from typing import Any

import pytest

from tests.house.parts import Parts

MISSING = "missing_parts"  # what a worker's last word calls the programs that it missed


class Worker:
    """A pytest plugin in each worker: its last word to the controller says which programs it missed."""

    def __init__(self, parts: Parts, last_word: dict[str, Any]) -> None:
        self._parts = parts
        self._last_word = last_word

    def pytest_sessionfinish(self) -> None:
        self._last_word[MISSING] = sorted(self._parts.missing)


class Controller:
    """A pytest plugin in the process that was started: hears each worker's last word, and fails the run that lacks one.

    Without workers it hears nothing, and `parts` is what the tests of this process have used themselves.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lost: list[str] = []

    @pytest.hookimpl(optionalhook=True)  # there is no such hook in a run without pytest-xdist
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        last_word = getattr(node, "workeroutput", {})
        if MISSING in last_word:
            self._parts.missing.update(last_word[MISSING])
        else:
            self._lost.append(f"{node.gateway.id}: {error or 'it did not say which programs it missed'}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """A worker that dies while it tests fails its test; this is for the one that dies between them or after."""
        done = yield
        session.testsfailed += len(self._lost)
        return done

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lost:
            terminalreporter.section("lost workers", red=True)
            terminalreporter.write_line("\n".join(self._lost))
