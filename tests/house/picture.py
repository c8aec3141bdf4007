"""The plan of the house as a picture: `python -m tests.house.picture` writes `.github/architecture.svg`.

Invariant: the same plan gives the same bytes. Floors are bands, rooms boxes; ways to the same room join before they
reach it, and pass other floors between the boxes. The picture brings its own light and dark, and no font.
It must not know any room by name.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap

from tests.house.architecture import GROUND, Plan, survey
from tests.house.tree import ROOT

PICTURE = ROOT / ".github/architecture.svg"
WIDTH, EDGE, GAP, BETWEEN = 1040, 28, 22, 44  # pixels: the picture, its margin, between boxes, between floors
TOP = 78
HUES = 6  # colours of ways, in turns
LETTER, SMALL = 5.9, 5.5  # pixels a letter takes on average, at 11 and at 10.5 pixels

STYLE = """
.back { fill: #fbfaf7 } .band { fill: #f1efe9 } .ground { fill: #e9e5db }
.box { fill: #fff; stroke: #b9b4a6 } .box.stone { fill: #f7f2e6 }
text { font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Arial, sans-serif; fill: #25231e }
.title { font-size: 19px; font-weight: 650 } .told { font-size: 12px; fill: #6b675c }
.name { font-size: 14px; font-weight: 650 } .words { font-size: 11px; fill: #5c584e }
.on { font-size: 10.5px; fill: #8a5a12 }
.way { fill: none; stroke-width: 1.7; stroke-linecap: round }
.c0 { stroke: #2f6f9f; color: #2f6f9f } .c1 { stroke: #a8482f; color: #a8482f }
.c2 { stroke: #3d7d4f; color: #3d7d4f }
.c3 { stroke: #7a4f9c; color: #7a4f9c } .c4 { stroke: #8f7313; color: #8f7313 }
.c5 { stroke: #4a6472; color: #4a6472 }
.head { fill: currentColor; stroke: none }
@media (prefers-color-scheme: dark) {
  .back { fill: #16171a } .band { fill: #1d1f23 } .ground { fill: #25262a }
  .box { fill: #2a2c31; stroke: #4b4e55 } .box.stone { fill: #35322c }
  text { fill: #ece9e2 } .told, .words { fill: #a9a69d } .on { fill: #e0b265 }
  .c0 { stroke: #6fb1e0; color: #6fb1e0 } .c1 { stroke: #e8907a; color: #e8907a }
  .c2 { stroke: #7fc594; color: #7fc594 }
  .c3 { stroke: #bd95dd; color: #bd95dd } .c4 { stroke: #d3b951; color: #d3b951 }
  .c5 { stroke: #9cb6c4; color: #9cb6c4 }
}
"""


@dataclass
class Item:
    """What stands on a floor: a room, or a gap through which the ways to a room further down pass."""

    room: str  # the room itself, or the one the ways lead to
    width: float
    lines: list[tuple[str, str]] = field(default_factory=list)  # (class, text) of a room; none of a gap
    x: float = 0.0  # its middle
    above: list["Item"] = field(default_factory=list)
    below: list["Item"] = field(default_factory=list)


def draw(plan: Plan) -> str:
    """The SVG document."""
    rows = _rows(plan)
    _place(rows)
    tops, bottom = _heights(rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:.0f}" role="img" '
        f'aria-labelledby="title told">',
        '<title id="title">The rooms of Wavegate and what they import</title>',
        f'<desc id="told">{escape(_told(plan))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{bottom:.0f}" rx="12"/>',
        f'<text class="title" x="{EDGE}" y="38">Imports go down only</text>',
        f'<text class="told" x="{EDGE}" y="58">An arrow: imports. What a way by other rooms says already is left out. '
        "In the last line of a room: what it uses of the ground, the shaded rooms.</text>",
    ]
    for row, (y, height) in zip(rows, tops, strict=True):
        ground = all(item.room in GROUND for item in row if item.lines)
        out.append(
            f'<rect class="{"ground" if ground else "band"}" x="12" y="{y - 9}" '
            f'width="{WIDTH - 24}" height="{height + 18}" rx="8"/>'
        )
    targets = list(dict.fromkeys(item.room for row in rows for item in row if item.lines))
    hue = {room: number % HUES for number, room in enumerate(r for r in targets if r not in GROUND)}
    out += _ways(rows, tops, hue)
    for row, (y, height) in zip(rows, tops, strict=True):
        out += [line for item in row if item.lines for line in _box(item, y, height)]
    return "\n".join([*out, "</svg>", ""])


def _told(plan: Plan) -> str:
    """The plan for those who do not see it."""
    rows = [
        "; ".join(f"{room} imports {', '.join(sorted(plan.imports[room])) or 'none'}" for room in f)
        for f in plan.floors
    ]
    return "From the top floor down. " + ". ".join(rows) + "."


def _rows(plan: Plan) -> list[list[Item]]:
    rows: list[list[Item]] = []
    homes: dict[str, tuple[int, Item]] = {}
    for number, floor in enumerate(plan.floors):
        room_for_each = (WIDTH - 2 * EDGE - GAP * (len(floor) - 1)) / len(floor) - (GAP if len(floor) > 3 else 0)
        width = min(room_for_each, 300.0)
        row = [Item(room, width, _lines(plan, room, width)) for room in floor]
        homes |= {item.room: (number, item) for item in row}
        rows.append(row)
    for source, target in plan.arrows():
        at, item = homes[source]
        end, goal = homes[target]
        for number in range(at + 1, end):
            gap = next((one for one in rows[number] if one.room == target and not one.lines), None)
            if gap is None:
                gap = Item(target, 4.0)
                rows[number].append(gap)
            _join(item, gap)
            item = gap
        _join(item, goal)
    return rows


def _join(upper: Item, lower: Item) -> None:
    if lower not in upper.below:
        upper.below.append(lower)
        lower.above.append(upper)


def _lines(plan: Plan, room: str, width: float) -> list[tuple[str, str]]:
    words = _balanced(plan.words[room], int((width - 20) / LETTER))
    on = _balanced(", ".join(plan.grounds(room)), int((width - 20) / SMALL))
    return [("name", room), *(("words", line) for line in words), *(("on", line) for line in on)]


def _balanced(text: str, most: int) -> list[str]:
    """Lines of at most so many letters, and no shorter last one than need be."""
    lines = wrap(text, most)
    narrower = (wrap(text, width) for width in range(most, 7, -1))
    return min((found for found in narrower if len(found) == len(lines)), key=_longest, default=lines)


def _longest(lines: list[str]) -> int:
    return max(map(len, lines), default=0)


def _place(rows: list[list[Item]]) -> None:
    """Puts each item of each floor below what leads to it, as far as its neighbours allow."""
    for row in rows:
        _spread(row, {id(item): WIDTH / 2 for item in row})
    for _ in range(30):
        for order in (rows, rows[::-1]):
            for row in order:
                wish = {id(item): _middle([*item.above, *item.below], item.x) for item in row}
                row.sort(key=lambda item: wish[id(item)])
                _spread(row, wish)


def _middle(others: Sequence[Item], otherwise: float) -> float:
    return sum(other.x for other in others) / len(others) if others else otherwise


def _spread(row: list[Item], wish: dict[int, float]) -> None:
    """Each at its wish or beside its neighbour: midway between what the left and the right leave it."""
    from_left, from_right = [], []
    least, most = float(EDGE), float(WIDTH - EDGE)
    for item in row:
        from_left.append(max(wish[id(item)], least + item.width / 2))
        least = from_left[-1] + item.width / 2 + GAP
    for item in reversed(row):
        from_right.append(min(wish[id(item)], most - item.width / 2))
        most = from_right[-1] - item.width / 2 - GAP
    for item, left, right in zip(row, from_left, reversed(from_right), strict=True):
        item.x = (left + right) / 2
    # Both may have gone past an end of the picture, each past another.
    least, most = float(EDGE), float(WIDTH - EDGE)
    for item in row:
        item.x = max(item.x, least + item.width / 2)
        least = item.x + item.width / 2 + GAP
    for item in reversed(row):
        item.x = min(item.x, most - item.width / 2)
        most = item.x - item.width / 2 - GAP


def _heights(rows: Iterable[list[Item]]) -> tuple[list[tuple[float, float]], float]:
    """Top and height of each floor, and where the picture ends."""
    tops: list[tuple[float, float]] = []
    y = float(TOP)
    for row in rows:
        height = 12.0 + max(20 + 15 * (len(item.lines) - 1) for item in row if item.lines)
        tops.append((y, height))
        y += height + (BETWEEN if any(item.below for item in row) else 26)
    return tops, y


def _ways(rows: list[list[Item]], tops: Sequence[tuple[float, float]], hue: dict[str, int]) -> list[str]:
    """Curves from floor to floor; the last one into a room has an arrow's head."""
    out = []
    for number, row in enumerate(rows[:-1]):
        y, height = tops[number]
        below = tops[number + 1][0]
        for item in row:
            for at, lower in enumerate(sorted(item.below, key=lambda one: one.x)):
                x = item.x + (14 * (at - (len(item.below) - 1) / 2) if item.lines else 0)
                start, end = (y + height if item.lines else y), below - (7 if lower.lines else 0)
                straight = f"V{y + height:.1f} " if not item.lines else ""
                half = (y + height + end) / 2
                out.append(
                    f'<path class="way c{hue[lower.room]}" d="M{x:.1f} {start:.1f} {straight}'
                    f'C{x:.1f} {half:.1f} {lower.x:.1f} {half:.1f} {lower.x:.1f} {end:.1f}"/>'
                )
        out += [
            f'<path class="head c{hue[lower.room]}" d="M{lower.x:.1f} {below:.1f} l-4.5 -8.5 h9 z"/>'
            for lower in rows[number + 1]
            if lower.lines and lower.above
        ]
    return out


def _box(item: Item, y: float, height: float) -> list[str]:
    left = item.x - item.width / 2
    kind = "box stone" if item.room in GROUND else "box"
    out = [f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{item.width:.1f}" height="{height}" rx="6"/>']
    for number, (role, text) in enumerate(item.lines):
        out.append(f'<text class="{role}" x="{left + 10:.1f}" y="{y + 20 + 15 * number}">{escape(text)}</text>')
    return out


def main() -> int:
    """Writes the picture of this tree."""
    PICTURE.write_text(draw(survey(ROOT)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
