"""Questions and news between two nodes, whose letters are carried by hand.

Invariant under test: whoever asks is answered, refused or told that nobody answers, and no handler harms another.
It must not need a server.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from gateway.cluster import post
from gateway.cluster.letter import Letter, read, write
from gateway.cluster.post import Post
from gateway.errors import LimitError, ServiceError
from tests.support.cluster import eventually


class Carrier:
    """Takes letters to the node they are for in a later turn of the loop, unless that is not there."""

    def __init__(self) -> None:
        self.nodes: dict[str, Post] = {}
        self.sent: list[Letter] = []

    def __call__(
        self, node: str, octets: bytes, undelivered: Callable[[], None] = lambda: None, tries: int = 1
    ) -> None:
        letter = read(octets)
        assert letter is not None
        self.sent.append(letter)
        # An answer may come twice, a question may not.
        assert (tries > 1) == (not letter.kind)
        if node in self.nodes:
            asyncio.get_running_loop().call_soon(self.nodes[node].letter, octets)
        else:
            undelivered()


class Two:
    """The posts of two nodes, `one` that asks and `two` that answers."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.carrier = Carrier()
        self.one, self.two = (Post(node, self.carrier, tasks, ask_seconds=5.0) for node in ("one", "two"))
        self.carrier.nodes = {"one": self.one, "two": self.two}
        self.two.on("echo", self._echo)
        self.two.on("hang", self._hang)
        self.hanging = 0
        self.ended = 0

    async def _echo(self, node: str, body: bytes) -> bytes:
        return node.encode() + b" said " + body

    async def _hang(self, node: str, body: bytes) -> bytes:
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1
        raise AssertionError("nobody sets it")


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[Two]:
    async with asyncio.TaskGroup() as tasks:
        nodes = Two(tasks)
        yield nodes
        nodes.one.close()
        nodes.two.close()


async def refused(asking: asyncio.Future[bytes] | asyncio.Task[bytes]) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await asyncio.wait_for(asking, 10.0)
    return refusal.value


def asks(
    nodes: Two, kind: str, body: bytes = b"", *, node: str = "two", seconds: float | None = None
) -> asyncio.Task[bytes]:
    return asyncio.ensure_future(nodes.one.ask(node, kind, body, seconds))


async def test_a_question_is_answered(nodes: Two) -> None:
    answers = await asyncio.gather(*(asks(nodes, "echo", b"%d" % number) for number in range(20)))
    assert answers == [b"one said %d" % number for number in range(20)]


async def test_what_is_raised_there_is_raised_here(nodes: Two) -> None:
    async def limited(node: str, body: bytes) -> bytes:
        raise LimitError("rate_exceeded", "Not now.", param="x", retry_after=2.0)

    nodes.two.on("limited", limited)
    with pytest.raises(LimitError, match="Not now") as refusal:
        await asks(nodes, "limited")
    assert (refusal.value.code, refusal.value.param, refusal.value.retry_after) == ("rate_exceeded", "x", 2.0)


async def test_a_handler_that_breaks_answers_internal(nodes: Two, caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(node: str, body: bytes) -> bytes:
        raise KeyError("secret")

    nodes.two.on("breaks", breaks)
    error = await refused(asks(nodes, "breaks"))
    assert error.code == "internal"
    assert "secret" not in error.message
    assert "KeyError" in caplog.text
    assert await asks(nodes, "echo", b"on") == b"one said on"


async def test_an_answer_that_is_too_long_is_internal(nodes: Two, caplog: pytest.LogCaptureFixture) -> None:
    async def talks(node: str, body: bytes) -> bytes:
        return bytes(post.LETTER_OCTETS)

    nodes.two.on("talks", talks)
    assert (await refused(asks(nodes, "talks"))).code == "internal"
    assert "too long" in caplog.text


async def test_a_question_that_is_too_long_is_not_sent(nodes: Two) -> None:
    with pytest.raises(ValueError, match="too long"):
        await nodes.one.ask("two", "echo", bytes(post.LETTER_OCTETS))
    with pytest.raises(ValueError, match="too long"):
        nodes.one.tell("two", "echo", bytes(post.LETTER_OCTETS))
    assert not nodes.carrier.sent


async def test_a_kind_is_answered_by_one(nodes: Two) -> None:
    error = await refused(asks(nodes, "from_2030"))
    assert (error.code, error.retry_after) == ("cluster_unavailable", 1.0)
    with pytest.raises(ValueError, match="already"):
        nodes.two.on("echo", nodes.two._handlers["echo"])


async def test_nobody_waits_longer_than_the_deadline_and_nobody_works_longer(nodes: Two) -> None:
    error = await refused(asks(nodes, "hang", seconds=0.05))
    assert (error.code, error.retry_after) == ("cluster_unavailable", 1.0)
    await eventually(lambda: nodes.ended == 1)
    # The late answer finds nobody.
    await eventually(lambda: nodes.carrier.sent[-1].kind == "")


async def test_a_node_that_is_not_there_is_told_of_at_once(nodes: Two) -> None:
    assert (await refused(asks(nodes, "echo", node="three"))).code == "cluster_unavailable"
    nodes.one.tell("three", "echo", b"")


async def test_who_waits_for_a_node_that_dies_waits_no_more(nodes: Two) -> None:
    asking = asks(nodes, "hang")
    await eventually(lambda: nodes.hanging)
    nodes.one.lost("three")
    assert not asking.done()
    nodes.one.lost("two")
    nodes.one.lost("two")
    assert "died" in (await refused(asking)).message


async def test_news_need_no_answer(nodes: Two, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[bytes] = []

    async def news(node: str, body: bytes) -> bytes:
        heard.append(body)
        if body == b"b":
            raise RuntimeError("it breaks")
        return b"nobody reads this"

    nodes.two.on("news", news)
    for body in (b"a", b"b", b"c"):
        nodes.one.tell("two", "news", body)
    await eventually(lambda: len(heard) == 3)
    assert heard == [b"a", b"b", b"c"]
    await eventually(lambda: "it breaks" in caplog.text)
    assert [letter.kind for letter in nodes.carrier.sent] == ["news"] * 3


async def test_only_so_many_are_answered_at_a_time(nodes: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "MOST_HANDLERS", 3)
    hanging = [asks(nodes, "hang") for _ in range(3)]
    await eventually(lambda: nodes.hanging == 3)
    error = await refused(asks(nodes, "echo"))
    assert (error.code, error.retry_after) == ("overloaded", 1.0)
    sent = len(nodes.carrier.sent)
    nodes.one.tell("two", "echo", b"")
    await asyncio.sleep(0)
    assert len(nodes.carrier.sent) == sent + 1
    nodes.two.close()
    nodes.one.close()
    assert {(await refused(one)).code for one in hanging} == {"cluster_unavailable"}
    assert "stops" in (await refused(asks(nodes, "echo"))).message
    await eventually(lambda: nodes.ended == 3)


async def test_what_is_no_letter_harms_nothing(nodes: Two, caplog: pytest.LogCaptureFixture) -> None:
    nodes.two.letter(b"nonsense")
    assert "cluster.letter_unreadable" in caplog.text
    asking = asks(nodes, "echo", b"x")
    # An answer to this very question, from somebody who was not asked, and one to a question that nobody asked.
    nodes.one.letter(write(Letter("three", "", 1, b"wrong")))
    nodes.one.letter(write(Letter("two", "", 99, b"wrong")))
    assert await asking == b"one said x"


async def test_who_stops_waiting_leaves_nothing(nodes: Two) -> None:
    asking = asks(nodes, "hang")
    await eventually(lambda: nodes.hanging)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not nodes.one._asked
