"""A client's session without a socket: who may speak, how streams are ordered, heard and left, and mistakes.

Invariant under test: messages are carried out in the order they came, a mistake ends nothing, and when the connection
goes every listener leaves and nothing else changes. It must not know how audio is framed.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest
from websockets.frames import Opcode

from gateway.accounting import Grant, Reservation
from gateway.config.schema import Config, Limits
from gateway.config.server import Server
from gateway.errors import LimitError, ServiceError, UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, Principal, Queued, SourceEvent, StreamId, TenantId
from gateway.protocol import events
from gateway.protocol.frames import unpack
from gateway.relay.order import Order
from gateway.server.session import MAX_WAITING
from gateway.server.tickets import Wanted
from tests.support.relay import BUYER, TENANT, ScriptedLedger, mp3_frames, song
from tests.support.server import KEY, Talk, soon, talk
from tests.support.tickets import office

INPUT = {"prompt": "a song of five words"}
FRAMES = mp3_frames(40)
SONG: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(b"".join(FRAMES)), Finished(1.0))


class GatedLedger(ScriptedLedger):
    """A ledger that takes its time: nothing is reserved before the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = 0

    async def reserve(self, reservation: Reservation) -> Grant:
        self.asked += 1
        await self.gate.wait()
        return await super().reserve(reservation)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


async def started(there: Talk) -> str:
    """A running stream of this tenant that was ordered elsewhere."""
    stream = await there.room.hub.create(Order(BUYER, song()))
    await soon(lambda: stream.native.end > 0)
    return stream.id


# -- who speaks --------------------------------------------------------------------------------------------------------


async def test_a_client_that_is_known_is_greeted() -> None:
    """The first message has the session's name, the tenant and its limits."""
    async with talk(limits=Limits(concurrent_streams=7)) as there:
        (greeting,) = there.answers()
        assert greeting["type"] == "session.created"
        assert (greeting["session_id"], greeting["tenant"]) == ("se_1", "acme")
        assert greeting["limits"]["concurrent_streams"] == 7


async def test_news_of_the_budget_are_for_owners() -> None:
    """Whoever holds a key is told; a guest, and one who has not said who it is, are not."""
    news = events.QuotaUpdated(*[events.QuotaBudget(1, 1.0, 0.0, None)] * 4, warnings=[])
    for known, heard in ((True, ["quota.updated"]), (False, [])):
        async with talk(known=known) as there:
            there.answers()
            there.session.tell_owner(news)
            assert kinds(there.answers()) == heard
            if known:
                visitor = there.session._known
                visitor.ticket = office().mint(TENANT, Wanted()).ticket
                there.session.tell_owner(news)
                assert there.answers() == []


async def test_a_budget_is_asked_for_when_its_owner_comes() -> None:
    """Whoever comes with a key is to be told what is left, in the first message too; for a guest no ledger is read."""
    for known, guest, told in ((True, False, [TENANT]), (False, False, [TENANT]), (True, True, [])):
        welcomed: list[TenantId] = []
        async with talk(known=known) as there:
            session = there.session
            session._services = replace(session._services, welcomed=welcomed.append)
            if not known:
                there.line.say(type="session.authenticate", key=KEY)
            else:
                if guest:
                    session._known.ticket = office().mint(TENANT, Wanted()).ticket
                session.begin()
            assert kinds(there.answers())[-1] == "session.created"
        assert welcomed == told


async def test_a_key_in_the_first_message_opens() -> None:
    """Nothing is said before it, the greeting after it, and the deadline is off."""
    async with talk(known=False) as there:
        assert there.answers() == []
        there.line.say(type="session.authenticate", key=KEY)
        assert kinds(there.answers()) == ["session.created"]
        assert there.session._deadline is not None
        assert there.session._deadline.cancelled()


async def test_a_wrong_key_is_answered_and_closes() -> None:
    """The error has the ref of the message, the close its code; what comes behind it is not carried out."""
    async with talk(known=False) as there:
        there.line.say(type="session.authenticate", key="wrong", ref=5)
        there.line.say(type="session.authenticate", key=KEY)
        (message,) = there.answers()
        assert (message["error"]["code"], message["ref"]) == ("bad_credentials", 5)
        assert there.line.browser.close_rcvd is not None
        assert there.line.browser.close_rcvd.code == 4001


async def test_a_page_may_not_say_a_key() -> None:
    """The rules about origins hold for the first message as for a header."""
    async with talk(known=False, origin="https://evil.example") as there:
        there.line.say(type="session.authenticate", key=KEY)
        assert [message["error"]["code"] for message in there.answers()] == ["origin_forbidden"]
        assert there.line.browser.close_rcvd is not None
        assert there.line.browser.close_rcvd.code == 4003


async def test_nothing_else_may_be_said_first() -> None:
    """Anything before the key is refused and ends nothing; a second key is refused as well."""
    async with talk(known=False) as there:
        there.line.say(type="ping")
        there.line.say(type="stream.create", input=INPUT, ref="r")
        there.line.say(type="session.authenticate", key=KEY)
        there.line.say(type="session.authenticate", key=KEY)
        messages = there.answers()
        assert kinds(messages) == ["error", "error", "session.created", "error"]
        codes = [message["error"]["code"] for message in messages if message["type"] == "error"]
        assert codes == ["missing_credentials", "missing_credentials", "already_authenticated"]
        assert messages[1]["ref"] == "r"
        assert list(there.room.hub.streams) == []


async def test_silence_has_a_deadline() -> None:
    """A client that does not say who it is hears why, and is closed with 4104."""
    async with talk(known=False, config=Config(server=Server(authentication_timeout=0.01))) as there:
        assert (await there.answer("error"))["error"]["code"] == "not_authenticated_in_time"
        assert there.line.browser.close_rcvd is not None
        assert there.line.browser.close_rcvd.code == 4104


async def test_a_client_that_leaves_takes_its_deadline_along() -> None:
    """No timer outlives its connection."""
    async with talk(known=False) as there:
        there.leave()
        assert there.session._deadline is not None
        assert there.session._deadline.cancelled()


async def test_a_page_that_is_turned_away_sees_why() -> None:
    """The sentence, then the close code with its reason."""
    async with talk(known=False) as there:
        there.session.turn_away(ServiceError("going_away", "This gateway is stopping.", retry_after=1.0))
        assert [message["error"]["code"] for message in there.answers()] == ["going_away"]
        closed = there.line.browser.close_rcvd
        assert closed is not None
        assert (closed.code, closed.reason) == (1012, "going_away;retry_after_ms=1000")


# -- ordering ----------------------------------------------------------------------------------------------------------


async def test_an_order_is_confirmed_heard_and_over() -> None:
    """created, started, the audio, completed, in this order; then nothing of it is left on the session."""
    async with talk(*SONG) as there:
        there.answers()
        there.line.say(type="stream.create", ref=3, input=INPUT, framing="framed")
        audio, messages = b"", []
        while "stream.completed" not in messages:
            await asyncio.sleep(0)
            for frame in there.line.heard():
                if frame.opcode is Opcode.BINARY:
                    audio += unpack(bytes(frame.data))[1]
                else:
                    messages.append(bytes(frame.data).split(b'"')[3].decode())
        assert messages == ["stream.created", "stream.started", "stream.metadata", "stream.completed"]
        assert audio == b"".join(FRAMES)
        assert there.line.connection.listeners == []
        (stream,) = there.room.hub.streams
        assert stream.listeners == 0
        there.line.say(type="stream.attach", stream_id=stream.id, ref="again")
        assert (await there.answer("stream.started"))["ref"] == "again"


async def test_what_comes_behind_an_order_waits_for_it() -> None:
    """Messages are carried out in their order, also those that need no waiting and a second order."""
    ledger = GatedLedger()
    hold = asyncio.Event()
    async with talk(hold, ledger=ledger) as there:
        there.answers()
        there.line.say(type="stream.create", ref=1, input=INPUT)
        there.line.say(type="ping", t="a")
        there.line.say(type="stream.create", ref=2, input=INPUT)
        there.line.say(type="stream.attach", ref=3, stream_id="st_none")
        there.line.say(type="ping", t="b")
        await soon(lambda: ledger.asked == 1)
        assert there.answers() == []
        ledger.gate.set()
        told: list[tuple[Any, ...]] = []
        while len(told) < 5:
            await asyncio.sleep(0)
            told += [(message["type"], message.get("ref", message.get("t"))) for message in there.answers()]
        assert told == [("stream.created", 1), ("pong", "a"), ("stream.created", 2), ("error", 3), ("pong", "b")]


async def test_only_so_much_waits_behind_an_order() -> None:
    """A client that piles up messages while its order is taken is told, and closed with 4101."""
    ledger = GatedLedger()
    async with talk(asyncio.Event(), ledger=ledger) as there:
        there.line.say(type="stream.create", input=INPUT)
        await soon(lambda: ledger.asked == 1)
        for number in range(MAX_WAITING):
            there.line.say(type="ping", t=number)
        assert [message["type"] for message in there.answers()] == ["session.created"]
        there.line.say(type="ping", t="one too many")
        assert (await there.answer("error"))["error"]["code"] == "rate_exceeded"
        assert there.line.browser.close_rcvd is not None
        assert there.line.browser.close_rcvd.code == 4101
        ledger.gate.set()


async def test_an_order_outlives_the_client_that_left_meanwhile() -> None:
    """The song is bought and runs, nobody listens to it, and what waited behind the order is not carried out."""
    ledger = GatedLedger()
    async with talk(asyncio.Event(), ledger=ledger) as there:
        there.line.say(type="stream.create", input=INPUT)
        there.line.say(type="stream.create", input=INPUT)
        await soon(lambda: ledger.asked == 1)
        there.leave()
        ledger.gate.set()
        await soon(lambda: there.session._worker is None)
        (stream,) = there.room.hub.streams
        assert stream.listeners == 0
        assert not stream.status.final
        assert there.line.connection.listeners == []


async def test_a_fault_of_ours_in_an_order_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The client is told `internal` with its ref and no word of the fault; the log has it; the session goes on."""

    class Broken(ScriptedLedger):
        async def reserve(self, tenant: TenantId, stream_id: StreamId) -> None:
            raise RuntimeError("the secret reason")

    async with talk(ledger=Broken()) as there:
        there.line.say(type="stream.create", ref=8, input=INPUT)
        there.line.say(type="ping", t=1)
        message = await there.answer("error")
        assert (message["error"]["code"], message["ref"]) == ("internal", 8)
        assert "secret" not in str(message)
        there.line.say(type="ping", t=2)
        assert (await there.answer("pong"))["t"] == 2
    assert any(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


async def test_an_order_that_is_refused_is_answered_with_its_ref() -> None:
    """A limit, a bad input and a wrong way to listen are errors before anything runs."""
    ledger = ScriptedLedger()
    ledger.refusal = LimitError("concurrency_exceeded", "All are running.", retry_after=5.0)
    async with talk(*SONG, ledger=ledger) as there:
        for ref, (fields, code) in enumerate(
            (
                ({"input": INPUT}, "concurrency_exceeded"),
                ({"input": {"prompt": "hm"}}, "invalid_input"),
                ({"input": INPUT, "framing": "loose"}, "invalid_request"),
                ({"input": INPUT, "on_lag": "cry"}, "invalid_request"),
                ({"input": INPUT, "since": "noon"}, "invalid_request"),
                ({"input": INPUT, "format": "midi"}, "unsupported_format"),
            )
        ):
            there.line.say(type="stream.create", ref=ref, **fields)
            message = await there.answer("error")
            assert (message["ref"], message["error"]["code"]) == (ref, code)
        assert list(there.room.hub.streams) == []


async def test_a_stream_that_waits_for_its_turn_says_where_it_stands() -> None:
    """Whoever joins a queue that others have heard of already is told the place as well."""
    async with talk(Queued(3, 1.25), asyncio.Event()) as there:
        stream = await there.room.hub.create(Order(BUYER, song()))
        await soon(lambda: stream.place is not None)
        there.answers()
        there.line.say(type="stream.attach", stream_id=stream.id)
        assert there.answers() == [
            {"type": "stream.queued", "stream_id": stream.id, "position": 3, "eta_ms": 1250},
        ]


async def test_an_order_that_cannot_be_heard_is_not_bought() -> None:
    """When the tenant's listeners are all in use nothing is spent, and the error has the order's ref."""
    async with talk(asyncio.Event(), limits=Limits(listeners=1)) as there:
        there.line.say(type="stream.create", ref=1, input=INPUT)
        await there.answer("stream.created")
        there.line.say(type="stream.create", ref=2, input=INPUT)
        message = await there.answer("error")
        assert (message["ref"], message["error"]["code"]) == (2, "concurrency_exceeded")
        assert len(list(there.room.hub.streams)) == 1
        assert len(there.line.connection.listeners) == 1


# -- listening ---------------------------------------------------------------------------------------------------------


async def test_coming_and_going() -> None:
    """Attached once a session, detached by name with the ref, and then it may be attached again."""
    async with talk(*SONG[:2], asyncio.Event()) as there:
        stream_id = await started(there)
        stream = there.room.hub.get(TENANT, stream_id)
        for _ in range(2):
            there.line.say(type="stream.attach", stream_id=stream_id, ref="in", format=["ogg", "mp3"])
            assert (await there.answer("stream.started"))["ref"] == "in"
            there.line.say(type="stream.attach", stream_id=stream_id, ref="twice")
            assert (await there.answer("error"))["error"]["code"] == "already_attached"
            assert stream.listeners == 1
            there.line.say(type="stream.detach", stream_id=stream_id, ref="out")
            assert (await there.answer("stream.detached"))["ref"] == "out"
            assert (stream.listeners, there.line.connection.listeners) == (0, [])
        there.line.say(type="stream.detach", stream_id=stream_id, ref="gone")
        assert (await there.answer("error"))["error"]["param"] == "stream_id"


async def test_a_mistake_in_an_attach_attaches_nothing() -> None:
    """A wrong framing, on_lag, since or format, and a stream of another tenant."""
    async with talk(*SONG[:2], asyncio.Event()) as there:
        mine = await started(there)
        other = (await there.room.hub.create(Order(Principal(TenantId("other"), "k"), song()))).id
        for fields, code in (
            ({"stream_id": mine, "framing": ""}, "invalid_request"),
            ({"stream_id": mine, "on_lag": ""}, "invalid_request"),
            ({"stream_id": mine, "since": {"seq": 1}}, "invalid_request"),
            ({"stream_id": mine, "format": "midi"}, "unsupported_format"),
            ({"stream_id": mine, "format": {"codec": "mp3", "channels": 6}}, "unsupported_format"),
            ({"stream_id": other}, "stream_not_found"),
        ):
            there.line.say(type="stream.attach", ref="r", **fields)
            assert (await there.answer("error"))["error"]["code"] == code
        assert there.line.connection.listeners == []
        assert there.room.hub.get(TENANT, mine).listeners == 0


async def test_a_resume_is_told_whether_it_continues() -> None:
    """A position of this epoch continues, one of another begins anew and says so."""
    async with talk(*SONG[:2], asyncio.Event()) as there:
        stream_id = await started(there)
        epoch = there.room.hub.get(TENANT, stream_id).native.rendition.epoch
        for since, seq, recovered in (
            ({"epoch": epoch, "seq": 1}, 1, True),
            ({"epoch": epoch + 1, "seq": 1}, 0, False),
        ):
            there.line.say(type="stream.attach", stream_id=stream_id, since=since)
            message = await there.answer("stream.started")
            assert (message["seq"], message["recovered"]) == (seq, recovered)
            there.line.say(type="stream.detach", stream_id=stream_id)


async def test_a_cancelled_stream_fails_for_its_listeners() -> None:
    """The cancel has no answer of its own; whoever listens hears that it is over."""
    async with talk(*SONG[:2], asyncio.Event()) as there:
        stream_id = await started(there)
        there.line.say(type="stream.attach", stream_id=stream_id)
        there.line.say(type="stream.cancel", stream_id=stream_id)
        assert (await there.answer("stream.failed"))["error"]["code"] == "cancelled"
        assert there.line.connection.listeners == []


async def test_a_stream_that_fails_takes_only_itself_along() -> None:
    """Its failure is told, and the session answers as before."""
    async with talk(UpstreamError("upstream_failed", "The provider failed.")) as there:
        there.line.say(type="stream.create", input=INPUT)
        assert (await there.answer("stream.failed"))["error"]["code"] == "upstream_failed"
        there.line.say(type="ping", t=1)
        assert (await there.answer("pong"))["t"] == 1


async def test_all_listeners_leave_with_the_connection() -> None:
    """Every stream of the session loses this listener and goes on; the places are free."""
    async with talk(*SONG[:2], asyncio.Event(), limits=Limits(listeners=2)) as there:
        streams = [await started(there) for _ in range(2)]
        for stream_id in streams:
            there.line.say(type="stream.attach", stream_id=stream_id)
        found = [there.room.hub.get(TENANT, stream_id) for stream_id in streams]
        assert [stream.listeners for stream in found] == [1, 1]
        there.leave()
        assert [stream.listeners for stream in found] == [0, 0]
        assert not any(stream.status.final for stream in found)
