"""A program for an interpreter of its own: imports each module that it is given as if it were the first of ours.

Invariant: to a module it looks as if nothing of ours had been loaded. What was imported alone before, without a
complaint, is handed out again with all that came with it, for it would come to be just so again; but never while
something that came with it is still being loaded: that is a cycle, and both are run as they are written.
It must not import anything of ours by itself, so it is started by its path.
"""

import importlib
import sys
import traceback
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType


class Recall(MetaPathFinder, Loader):
    """The modules that are known to be imported alone, and what came with each."""

    def __init__(self) -> None:
        self._known: dict[str, ModuleType] = {}
        self._came_with: dict[str, dict[str, ModuleType]] = {}
        self._specs: dict[str, ModuleSpec | None] = {}

    def keep(self, name: str, loaded: dict[str, ModuleType]) -> None:
        """`name` has been imported alone, and `loaded` is all of ours that this has loaded."""
        self._known[name], self._specs[name] = loaded[name], loaded[name].__spec__
        self._came_with[name] = {other: module for other, module in loaded.items() if other != name}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        came_with = self._came_with.get(name)
        if came_with is None or any(_under_way(other) for other in came_with):
            return None
        return ModuleSpec(name, self, is_package=hasattr(self._known[name], "__path__"))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._known[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        module.__spec__ = self._specs[name]
        came_with = self._came_with[name]
        for other, loaded in came_with.items():
            sys.modules.setdefault(other, loaded)
        for other in came_with:
            package, _, own = other.rpartition(".")
            if package:
                setattr(sys.modules[package], own, sys.modules[other])


def _under_way(name: str) -> bool:
    return name in sys.modules and getattr(sys.modules[name].__spec__, "_initializing", False)


def loaded_of(ours: set[str]) -> dict[str, ModuleType]:
    """What is loaded of the packages `ours`, by name."""
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ours}


def forget(ours: set[str]) -> None:
    """Nothing of ours has been loaded, and no package knows the modules in it."""
    loaded = loaded_of(ours)
    for name, module in loaded.items():
        del sys.modules[name]
        package, _, own = name.rpartition(".")
        if getattr(loaded.get(package), own, None) is module:
            delattr(loaded[package], own)


def complaints(names: Sequence[str]) -> list[str]:
    """A line for each that cannot be imported alone, in the order of `names`."""
    ours = {name.partition(".")[0] for name in names}
    order: list[str] = []
    run = SourceFileLoader.exec_module

    def note(loader: SourceFileLoader, module: ModuleType) -> None:
        run(loader, module)
        order.append(module.__name__)

    # Once through all, for the order in which they end: what others need comes before them.
    SourceFileLoader.exec_module = note  # type: ignore[method-assign,assignment]  # this interpreter is ours alone
    for name in names:
        _try(name)
    SourceFileLoader.exec_module = run  # type: ignore[method-assign]  # as it was
    recall = Recall()
    sys.meta_path.insert(0, recall)
    found = {}
    for name in dict.fromkeys([*(name for name in order if name in set(names)), *names]):
        forget(ours)
        if complaint := _try(name):
            found[name] = f"{name}: {complaint}"
        else:
            recall.keep(name, loaded_of(ours))
    return [found[name] for name in names if name in found]


def _try(name: str) -> str:
    try:
        importlib.import_module(name)
    except BaseException as error:
        return traceback.format_exception_only(error)[-1].strip()
    return ""


if __name__ == "__main__":
    sys.path[0] = ""  # as with -c: the folder that it is started in, not the one that it stands in
    for line in complaints(sys.argv[1:]):
        print(line)
