"""The record of a session: its lines name it, and the last has all of it.

Invariant: the listeners are real ones; visitors are made by hand.
They must not know sockets.
"""

import logging
from collections.abc import Iterator

import pytest

from gateway.errors import RequestError, ServiceError
from gateway.log import Bound, Origin, binding, bound
from gateway.model import Principal, TenantId
from gateway.quota.uses import MemoryUses
from gateway.server.record import Record, named
from gateway.server.visitor import Visitor
from tests.support.relay import Clock, Pipe, grow, listen, open_channel

VISITOR = Visitor(Principal(TenantId("acme"), "0123abcd"), MemoryUses())
HANDSHAKE = Bound({"request_id": "rq_1"}, (), Origin("192.0.2.1", "a browser", "00-a", 5.0))


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    with binding(Bound()):
        yield


def record_of(clock: Clock) -> Record:
    with binding(HANDSHAKE):
        return Record("se_1", clock)


def test_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """What its listeners were sent, together, and how it was closed."""
    caplog.set_level(logging.DEBUG, "wavegate")
    clock = Clock(100.0)
    record = record_of(clock)
    channel = open_channel()
    grow(channel, 5)
    for seq in (0, 3):
        listener = listen(channel, Pipe(), seq)
        listener.leave()
        record.heard(listener)
    record.messages += 2
    clock.at = 104.0
    record.ended(1000, "", VISITOR)
    began, ended = caplog.records
    assert (began.getMessage(), ended.getMessage(), ended.levelname) == ("session.began", "session.ended", "INFO")
    assert ended.__dict__["fields"] == {
        "session_id": "se_1",
        "tenant": "acme",
        "key": "0123abcd",
        "client": "192.0.2.1",
        "close_code": 1000,
        "reason": None,
        "wall_seconds": 4.0,
        "streams": 1,
        "heard_seconds": 0.7,
        "chunks": 7,
        "bytes": 700,
        "messages": 2,
        "agent": "a browser",
    }


def test_what_it_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    """With the code and the field; a warning if it is our fault; of nobody, no name."""
    caplog.set_level(logging.INFO, "wavegate")
    record = record_of(Clock(0.0))
    record.refused(RequestError("invalid_request", "Theirs.", param="format"), VISITOR)
    record.refused(ServiceError("internal", "Ours."), None)
    told = [(one.levelname, one.__dict__["fields"]) for one in caplog.records]
    assert told == [
        ("INFO", {"code": "invalid_request", "param": "format", "tenant": "acme"}),
        ("WARNING", {"code": "internal", "param": None, "tenant": None}),
    ]


def test_what_its_tasks_are_about() -> None:
    """The handshake's request, the session, its tenant; what they begin is of this trace, and of this moment."""
    record = record_of(Clock(0.0))
    record.works(VISITOR)
    assert bound().ids == {"request_id": "rq_1", "session_id": "se_1", "tenant": "acme", "key": "0123abcd"}
    assert bound().origin.traceparent == "00-a"
    assert bound().origin.at > 1e9
    assert named(None) == (None, None)
