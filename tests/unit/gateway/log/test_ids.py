"""What is bound to a task: seen by what it starts, by nobody else, and gone when its time is over.

Invariant: every test leaves nothing bound.
They must not know what ids name.
"""

import asyncio

from gateway.log.ids import NOTHING, Bound, Origin, adopt, bind, binding, bound, hide


def test_for_a_while() -> None:
    """Ids are added to those that are there, None changes nothing, and afterwards it is as before."""
    with binding(NOTHING):
        with binding(tenant="acme", stream_id=None):
            assert bound().ids == {"tenant": "acme"}
            with binding(tenant="other", stream_id="st_1"):
                assert bound().ids == {"tenant": "other", "stream_id": "st_1"}
            assert bound().ids == {"tenant": "acme"}
            with binding(Bound({"a": "b"}, ("la la la",), Origin("host")), c="d"):
                assert bound() == Bound({"a": "b", "c": "d"}, ("la la la",), Origin("host"))
        assert bound() == NOTHING


def test_words() -> None:
    """Each is hidden once; of the shortest there would be too many."""
    with binding(NOTHING):
        hide("some words", None, "", "abc", "some words")
        hide("some words")
        hide("more words")
        assert bound().words == ("some words", "more words")


async def test_tasks() -> None:
    """What a task starts inherits what was bound by then; what either binds later stays its own."""

    async def work(name: str) -> dict[str, str]:
        bind(task=name)
        await asyncio.sleep(0)
        return dict(bound().ids)

    async def another() -> Bound:
        adopt(Bound({"session_id": "se_1"}), tenant="acme")
        return bound()

    with binding(request_id="rq_1"):
        one, two = await asyncio.gather(work("one"), work("two"))
        assert one == {"request_id": "rq_1", "task": "one"}
        assert two == {"request_id": "rq_1", "task": "two"}
        assert await asyncio.create_task(another()) == Bound({"session_id": "se_1", "tenant": "acme"})
        assert bound().ids == {"request_id": "rq_1"}
