"""The picture of the house: it is the one of today's tree, it is well-formed, and no box lies on another.

Invariant: boxes are read back from the SVG as any viewer would.
It must not judge whether it is beautiful: look at it.
"""

import xml.etree.ElementTree as ET
from itertools import combinations

from tests.house.architecture import Plan, survey
from tests.house.picture import PICTURE, WIDTH, draw
from tests.house.tree import ROOT

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_that_of_today() -> None:
    """What the repository shows is drawn of the imports as they are."""
    assert PICTURE.read_text(encoding="utf-8") == draw(survey(ROOT)), "write it again: python -m tests.house.picture"


def test_every_room_is_a_box_within_the_picture_and_none_lies_on_another() -> None:
    """Also where a floor is full, and where ways to a room far below pass between the boxes."""
    rooms = {"top": "far left middle right", **dict.fromkeys(("left", "middle", "right", "outer", "further"), "far")}
    plan = Plan(
        (("top",), ("left", "middle", "right", "outer", "further"), ("between",), ("far", "errors")),
        {name: frozenset(rooms.get(name, "").split()) for name in (*rooms, "between", "far", "errors")},
        dict.fromkeys((*rooms, "between", "far", "errors"), "what it <says> & does"),
    )
    document = ET.fromstring(draw(plan))
    boxes = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in document.iter(f"{SVG}rect")
        if "box" in box.attrib.get("class", "").split()
    ]
    assert len(boxes) == 9
    assert all(x >= 0 and x + width <= WIDTH for x, _, width, _ in boxes)
    for (x, y, width, height), (x2, y2, width2, height2) in combinations(boxes, 2):
        assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
    heads = [path for path in document.iter(f"{SVG}path") if "head" in path.attrib["class"]]
    assert len(heads) == len({target for _, target in plan.arrows()}), "ways to one room join before they reach it"
    assert "what it <says> & does" in {text.text for text in document.iter(f"{SVG}text")}


def test_a_plan_gives_the_same_bytes_each_time() -> None:
    """Nothing depends on the order of a set or on what was drawn before."""
    plan = survey(ROOT)
    assert draw(plan) == draw(plan)
