"""The dashboard is held against Grafana's own types, those of its package @grafana/schema, by the TypeScript compiler.

Invariant under test: every part of its JSON, panels, options, fields, has the shape that Grafana reads, and nothing
that it does not know. What its data source reads of an annotation is in no such type, and is left out.
It must not know what is shown.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.prometheus import DASHBOARD

Need = Callable[[str], str]

RAW = "@grafana/schema/dist/types/raw"
PANEL = f"{RAW}/composable/{{}}/panelcfg/x/types.gen"
# Each kind of panel: its module, and what the custom part of its fields is.
KINDS = {
    "timeseries": ("timeseries", "Timeseries.FieldConfig"),
    "stat": ("stat", "Record<string, never>"),
    "state-timeline": ("statetimeline", "StateTimeline.FieldConfig"),
    "table": ("table", "Common.TableFieldOptions"),
}
# Enumerations stand in JSON as their values.
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
    : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""
OF_THE_SOURCE = ("expr", "titleFormat", "textFormat", "step", "useValueForTime")


def program(document: dict[str, Any], packages: Path) -> str:
    """A constant of its type for each part of the dashboard."""
    modules = {name.title().replace("-", ""): PANEL.format(module) for name, (module, _) in KINDS.items()}
    modules |= {"Board": f"{RAW}/dashboard/x/types.gen", "Common": "@grafana/schema/dist/types/common/common.gen"}
    lines = [f'import type * as {name} from "{packages / module}";' for name, module in modules.items()]
    parts: list[tuple[str, Any]] = []
    for panel in document.pop("panels"):
        if panel["type"] == "row":
            parts.append(("Board.RowPanel", panel))
            continue
        name, custom = panel["type"].title().replace("-", ""), KINDS[panel["type"]][1]
        parts.append((f"{name}.Options", panel.pop("options")))
        parts.append((f"Partial<{custom}>", panel["fieldConfig"]["defaults"].pop("custom")))
        parts.append(("Board.Panel", panel))
    for annotation in document["annotations"]["list"]:
        for key in OF_THE_SOURCE:
            del annotation[key]
    parts.append(("Board.Dashboard", document))
    constants = [f"const part{n}: Plain<{kind}> = {json.dumps(part)};" for n, (kind, part) in enumerate(parts)]
    return "\n".join([*lines, PLAIN, *constants])


def compiled(need: Need, folder: Path, document: dict[str, Any]) -> str:
    """What the compiler complains of."""
    packages = Path(need("npm:@grafana/schema")).parents[1]
    file = folder / "dashboard.ts"
    file.write_text(program(document, packages), encoding="utf-8")
    compiler = Path(need("npm:typescript")) / "bin/tsc"
    node = shutil.which("node")
    assert node
    options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")
    done = subprocess.run(
        [node, compiler, *options, "--target", "es2022", file], capture_output=True, text=True, timeout=55, check=False
    )
    return done.stdout


@pytest.mark.nightly
def test_the_dashboard_has_the_shape_that_grafana_reads(need: Need, tmp_path: Path) -> None:
    assert compiled(need, tmp_path, json.loads(DASHBOARD.read_text(encoding="utf-8"))) == ""


@pytest.mark.nightly
def test_what_grafana_does_not_know_is_named(need: Need, tmp_path: Path) -> None:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    document["panels"][0]["options"]["colourMode"] = "value"
    document["panels"][1]["gridPos"]["w"] = "3"
    said = compiled(need, tmp_path, document)
    assert "'\"colourMode\"' does not exist" in said
    assert "'string' is not assignable to type 'number'" in said
