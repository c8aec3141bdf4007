"""Sections as data: how the keys of one are read back.

Invariant under test: what is written once as an attribute is found whole in its key.
It must not know which keys the real sections have.
"""

from typing import Annotated

from msgspec import NODEFAULT, field

from gateway.config.kinds import LIVE, SECRET, Count
from gateway.config.schema import Cluster, Config, Log, Upstream
from gateway.config.section import Section, keys_of


class Room(Section, frozen=True):
    """A room."""

    doors: Annotated[Count, "Ways in."] = 1


class House(Section, frozen=True):
    """A house."""

    name: Annotated[str, "What it is called.", SECRET, LIVE]
    hall: Room = Room()
    rooms: Annotated[list[Room], "All others."] = field(default_factory=list)


def test_keys_in_the_order_in_which_they_are_written() -> None:
    """With their sentences, marks and defaults; a section without a sentence of its own takes that of its class."""
    name, hall, rooms = keys_of(House)
    assert (name.name, name.doc, name.default) == ("name", "What it is called.", NODEFAULT)
    assert (name.secret, name.live, name.item, name.many) == (True, True, None, False)
    assert (hall.doc, hall.default, hall.item, hall.many) == ("A room.", Room(), Room, False)
    assert (rooms.doc, rooms.default, rooms.item, rooms.many) == ("All others.", [], Room, True)
    assert not rooms.secret
    assert not rooms.live


def test_keys_of_what_it_holds() -> None:
    """The items have keys of their own."""
    (doors,) = keys_of(Room)
    assert (doors.name, doors.doc, doors.default, doors.item) == ("doors", "Ways in.", 1, None)


def test_what_may_be_a_credential_does_not_show_itself() -> None:
    """In a traceback or a debugger: neither what is marked as such, nor a password in an address."""
    house = House(name="topsecret", rooms=[Room(doors=2)])
    assert repr(house) == "House(name=***, hall=Room(doors=1), rooms=[Room(doors=2)])"
    assert repr(House(name="")) == "House(name='', hall=Room(doors=1), rooms=[])"
    config = Config(
        cluster=Cluster(redis_url="redis://h?pw=topsecret"),
        log=Log(traces_endpoint="http://u:topsecret@collector:4318"),
        upstream=Upstream(api_key_file="topsecret"),
    )
    assert "traces_endpoint='http://***@collector:4318'" in repr(config)
    assert "topsecret" not in repr(config)
