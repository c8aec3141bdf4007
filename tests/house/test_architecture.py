"""The plan of the house: its floors are all there, its ways go down, and only what a way by others says is left out.

Invariant: the small plans are made here; the house's own is only asked whether it is whole.
It must not know the picture.
"""

from tests.house.architecture import GROUND, Plan, room_of, survey
from tests.house.tree import ROOT


def _plan(*floors: str, **imports: str) -> Plan:
    rows = tuple(tuple(floor.split()) for floor in floors)
    rooms = [room for row in rows for room in row]
    return Plan(rows, {room: frozenset(imports.get(room, "").split()) for room in rooms}, dict.fromkeys(rooms, "words"))


def test_every_room_of_the_house_has_a_floor_and_imports_downwards_only() -> None:
    """Each room that imports or is imported stands on exactly one floor, and imports from lower floors."""
    plan = survey(ROOT)
    rooms = [room for floor in plan.floors for room in floor]
    assert sorted(rooms) == sorted(plan.imports)
    floor_of = {room: number for number, floor in enumerate(plan.floors) for room in floor}
    assert all(floor_of[room] < floor_of[other] for room in rooms for other in plan.imports[room])
    assert {"relay", "server", "cli", *GROUND} <= set(rooms)
    assert plan.words["relay"] == "The heart"


def test_a_way_by_others_is_no_arrow_and_a_way_of_its_own_is_one() -> None:
    """What is reached through another room, however far, needs no arrow; the rest has one, from the top down."""
    plan = _plan(
        "roof hut", "attic", "hall", "cellar", roof="attic hall cellar", hut="cellar", attic="hall", hall="cellar"
    )
    assert plan.arrows() == [("roof", "attic"), ("hut", "cellar"), ("attic", "hall"), ("hall", "cellar")]


def test_what_everybody_stands_on_is_said_in_words() -> None:
    """Imports of the ground are no arrows; a room names them in one order."""
    plan = _plan("hall", "errors", "metrics", hall="metrics errors")
    assert plan.arrows() == []
    assert plan.grounds("hall") == ["errors", "metrics"]


def test_a_module_belongs_to_its_room() -> None:
    """A module deep in a package belongs to the gateway's room, a file is a room, and other packages are one each."""
    assert [room_of(name) for name in ("gateway.server.hls.door", "gateway.app", "transcode.packager.ogg")] == [
        "server",
        "app",
        "transcode",
    ]
    assert room_of("gateway") == room_of("gateway.__main__") == ""
