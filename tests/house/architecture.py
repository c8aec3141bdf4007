"""The plan of the house, as it is: its floors from the import contract, its rooms and what they import from the code.

Invariant: nothing of the plan is written here but which rooms are ground, those that nearly everybody stands on; a room
that is new, or that imports another than yesterday, changes the plan by itself.
It must not know how a plan is drawn.
"""

import ast
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grimp

from tests.house.tree import PACKAGES

# Nearly every room imports these, so that arrows to them would say nothing: each room names those it stands on.
GROUND = ("log", "config", "accounting", "model", "errors", "transcode", "metrics")


@dataclass(frozen=True)
class Plan:
    """`floors` from the top down, each a row of rooms; `imports` of each room, and what each says of itself."""

    floors: tuple[tuple[str, ...], ...]
    imports: Mapping[str, frozenset[str]]
    words: Mapping[str, str]

    def grounds(self, room: str) -> list[str]:
        """The rooms of the ground that `room` imports, in the order of `GROUND`."""
        return [ground for ground in GROUND if ground in self.imports[room]]

    def arrows(self) -> list[tuple[str, str]]:
        """Who imports whom above the ground, without what a way by others says already, from the top down."""
        above = {
            room: self.imports[room] - set(GROUND) for floor in self.floors for room in floor if room not in GROUND
        }
        return [(room, other) for room in above for other in sorted(above[room]) if not _by_others(above, room, other)]


def _by_others(above: Mapping[str, frozenset[str]], room: str, other: str) -> bool:
    seen, open_ = set(), [through for through in above[room] if through != other]
    while open_:
        through = open_.pop()
        if through == other:
            return True
        if through not in seen:
            seen.add(through)
            open_ += above[through]
    return False


def survey(root: Path) -> Plan:
    """The plan of the tree at `root`, whose packages must be those that are imported by their names here."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports: dict[str, set[str]] = {}
    for module in sorted(graph.modules):
        if room := room_of(module):
            found = {room_of(imported) for imported in graph.find_modules_directly_imported_by(module)}
            imports.setdefault(room, set()).update(other for other in found if other and other != room)
    floors = (*_floors(root, imports), tuple(package for package in PACKAGES if package in imports))
    return Plan(
        tuple(floor for floor in floors if floor),
        {room: frozenset(others) for room, others in imports.items()},
        {room: _words(root, room) for room in imports},
    )


def room_of(module: str) -> str:
    """The room of a dotted module name; none for the gateway's name itself and its `__main__`, which hold nothing."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0] if package == "gateway" else package
    return "" if room == "__main__" else room


def _floors(root: Path, rooms: Mapping[str, object]) -> list[tuple[str, ...]]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    named = [[name.strip(" ()") for name in layer.replace(":", "|").split("|")] for layer in layers]
    return [tuple(name for name in floor if name in rooms) for floor in named]


def _words(root: Path, room: str) -> str:
    """What the room's own first line says, up to its first colon or full stop."""
    stem = root / room if room in PACKAGES else root / "gateway" / room
    path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    first = (ast.get_docstring(ast.parse(text)) or room).splitlines()[0]
    return first.partition(":")[0].partition(". ")[0].rstrip(".").replace("`", "")
