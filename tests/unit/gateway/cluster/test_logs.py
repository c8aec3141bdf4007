"""A log that is written: what it sends, what it does with answers, and what it does without.

Invariant under test: whatever is lost on the way, Redis has the entries in order, once each, or `lost` is called.
It must not need a server: answers are given by hand, as Redis gives them.
"""

from collections.abc import Sequence

import pytest

from gateway.cluster import logs
from gateway.cluster.logs import PublishedLog, number_of
from gateway.redis.connection import Command


class Written:
    """A log, what Redis would have of it, and what was called."""

    def __init__(self, kept_octets: int = 1 << 26) -> None:
        self.calls: list[str] = []
        self.log = PublishedLog(
            "k",
            lambda: self.calls.append("drained"),
            lambda: self.calls.append("lost"),
            lambda _: self.calls.append("waits"),
            kept_octets,
        )

    def begin(self) -> None:
        self.log.answered([b"1-0" for _ in self.log.commands()])
        self.calls.clear()

    def begun(self) -> bool:
        return self.log.begun

    def writable(self) -> bool:
        return self.log.writable

    def send(self) -> Sequence[Command]:
        commands = self.log.commands()
        self.log.answered([b"0-1"] * len(commands))
        return commands


def test_the_first_makes_the_log_and_no_other_can() -> None:
    written = Written()
    written.log.append(b"a")
    assert not written.begun()
    assert written.log.commands() == [
        ("XADD", "k", "1-0", b"e", b""),
        ("XADD", "k", "NOMKSTREAM", "2-0", b"e", b"a"),
        ("PEXPIRE", "k", 120_000),
    ]
    written.log.answered([b"1-0", b"2-0", True])
    assert written.begun()
    assert not written.log.waiting
    written.log.append(b"b")
    assert written.send() == [("XADD", "k", "NOMKSTREAM", "3-0", b"e", b"b")]
    assert written.calls == ["waits", "waits"]


def test_logs_take_turns_with_batches_of_a_limited_size() -> None:
    written = Written()
    written.begin()
    for _ in range(logs.BATCH_ENTRIES + 1):
        written.log.append(b"a")
    assert len(written.send()) == logs.BATCH_ENTRIES
    assert written.log.sending_octets <= logs.BATCH_OCTETS
    assert len(written.send()) == 1
    for _ in range(3):
        written.log.append(bytes(logs.BATCH_OCTETS))
    # An entry that is larger than a batch goes by itself.
    assert [len(written.send()) for _ in range(3)] == [1, 1, 1]


def test_it_is_not_writable_from_when_much_waits_until_half_is_taken() -> None:
    written = Written()
    written.begin()
    for _ in range(logs.PENDING_ENTRIES - 1):
        written.log.append(b"a")
    assert written.writable()
    written.log.append(b"a")
    assert not written.writable()
    written.send()
    assert not written.writable()
    assert "drained" not in written.calls
    written.send()
    assert written.writable()
    assert written.calls.count("drained") == 1


def test_it_is_not_writable_while_many_octets_wait() -> None:
    written = Written()
    written.begin()
    written.log.append(bytes(logs.PENDING_OCTETS // 2 + 1))
    assert written.writable()
    written.log.append(bytes(logs.PENDING_OCTETS // 2))
    assert not written.writable()
    written.send()
    assert written.writable()
    assert written.calls.count("drained") == 1


def test_a_log_that_redis_has_forgotten_is_lost_once() -> None:
    written = Written()
    written.begin()
    written.log.append(b"a")
    written.log.commands()
    written.log.answered([None])
    assert written.calls == ["waits", "waits", "lost"]
    assert not written.writable()
    written.log.append(b"b")
    written.log.forgotten()
    assert not written.log.waiting
    assert written.calls.count("lost") == 1


def test_what_was_taken_before_the_answer_was_lost_is_not_sent_again() -> None:
    written = Written()
    written.begin()
    for entry in (b"a", b"b", b"c"):
        written.log.append(entry)
    written.log.commands()
    written.log.unanswered()
    assert written.log.inquire() == ("XREVRANGE", "k", "+", "-", "COUNT", 1)
    written.log.found([(b"3-0", {b"e": b"b"})])
    assert written.send() == [("XADD", "k", "NOMKSTREAM", "4-0", b"e", b"c")]
    assert "lost" not in written.calls


def test_a_log_that_nobody_has_seen_is_begun_again() -> None:
    written = Written()
    first = written.log.commands()
    written.log.unanswered()
    written.log.found([])
    assert written.log.commands() == first


def test_a_log_of_which_the_end_is_gone_is_lost() -> None:
    written = Written()
    written.begin()
    written.log.append(b"a")
    written.send()
    written.log.found([(b"1-0", {b"e": b""})])
    assert written.calls[-1] == "lost"


def test_what_is_old_goes() -> None:
    written = Written(kept_octets=10)
    written.begin()
    for _ in range(3):
        written.log.append(b"12345")
    assert written.log.commands()[-1] == ("XADD", "k", "NOMKSTREAM", "MINID", "~", 3, "4-0", b"e", b"12345")


def test_closed_it_sends_nothing_and_tells_nothing() -> None:
    written = Written()
    written.begin()
    for _ in range(logs.PENDING_ENTRIES):
        written.log.append(b"a")
    commands = written.log.commands()
    written.log.close()
    written.log.close()
    written.log.answered([b"0-1"] * len(commands))
    written.log.append(b"b")
    written.log.forgotten()
    assert not written.log.waiting
    assert not written.writable()
    assert written.calls == ["waits"] * (logs.PENDING_ENTRIES + 1)


def test_closed_while_it_was_full_it_is_not_drained() -> None:
    written = Written()
    written.begin()
    for _ in range(logs.PENDING_ENTRIES):
        written.log.append(b"a")
    written.log.close()
    written.log.found([(b"9-0", {})])
    assert "drained" not in written.calls


def test_a_writer_that_breaks_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def breaks() -> None:
        raise RuntimeError("it breaks")

    log = PublishedLog("k", breaks, breaks, lambda _: None)
    for _ in range(logs.PENDING_ENTRIES):
        log.append(b"a")
    while log.waiting:
        log.answered([b"0-1"] * len(log.commands()))
    log.forgotten()
    assert log.closed
    assert caplog.text.count("RuntimeError: it breaks") == 2


def test_an_entry_is_known_by_its_place() -> None:
    assert number_of(b"12-0") == 12
