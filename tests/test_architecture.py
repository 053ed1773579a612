"""The rooms of the package, who may import whom, and what may not be loaded."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support import ROOT

PACKAGE = ROOT / "dptn_cli"

# From the bottom to the top. A module imports from its own room and from rooms below it.
ROOMS = (
    "errors",
    "processor",
    "signals",
    "enums",
    "types",
    "io",
    "visualize",
    "keypoints",
    "network",
    "inference",
    "metrics",
    "prepare",
    "detect",
    "transfer",
    "distributed",
    "export",
    "evaluate",
    "report",
    "train",
    "bench",
    "doctor",
    "api",
    "pose_editor",
    "cli",
    "__main__",
)
# Rooms that may import a heavy package. Everything else runs without it.
HOMES = {
    "typer": {"cli"},
    "rich": {"cli"},
    "openpifpaf": {"detect"},
    "onnxruntime": {"inference", "export"},
    "onnx": {"export"},
    "openvino": {"inference"},
    "torch": {"network", "export", "train", "detect", "metrics"},
    "torchvision": {"network", "train", "detect", "metrics"},
    "accelerate": {"train"},
    "lpips": {"metrics"},
    "torch_fidelity": {"metrics"},
    "skimage": {"metrics"},
    "ray": {"distributed"},
    "upath": {"io"},
    "pillow_heif": {"io"},
}
HEAVY = (
    "torch",
    "onnxruntime",
    "onnx",
    "numpy",
    "PIL",
    "torchvision",
    "openpifpaf",
    "skimage",
    "accelerate",
    "ray",
    "fsspec",
    "upath",
    "pillow_heif",
    "openvino",
)


def room_of(module: str) -> str:
    """`dptn_cli.network.blocks` -> `network`; the package itself has the room ""."""
    return (module.split(".") + [""])[1]


def imports() -> Iterator[tuple[Path, str, str]]:
    """Every import of the package: the file, its room, and the module imported."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, room, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, room, node.module


def test_every_module_is_in_a_room() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert rooms - {"__pycache__", "__init__", "py.typed"} == set(ROOMS)


def test_imports_point_down() -> None:
    # The package itself holds the version, which all may use, and the library's lazy names.
    levels = {"": -1} | {room: level for level, room in enumerate(ROOMS)}
    upward = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path, room, module in imports()
        if module.split(".")[0] == "dptn_cli" and room and levels[room_of(module)] > levels[room]
    ]
    assert upward == []


def test_heavy_packages_stay_in_their_rooms() -> None:
    strays = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path, room, module in imports()
        if room not in HOMES.get(module.split(".")[0], {room})
    ]
    assert strays == []


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a new interpreter has loaded after running some code."""
    command = f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.split(".")[0] for name in done.stderr.split()}


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from dptn_cli.cli import app
sys.argv = ["dptn", "--help"]
try:
    app()
except SystemExit as end:
    assert end.code == 0
"""
    assert not loaded_by(code) & set(HEAVY)


def test_transfer_loads_no_torch() -> None:
    loaded = loaded_by("import dptn_cli.transfer.pipeline, dptn_cli.transfer.run_json")
    assert "onnxruntime" in loaded
    assert not loaded & {
        "torch",
        "onnx",
        "torchvision",
        "openpifpaf",
        "ray",
        "upath",
        "fsspec",
        "openvino",
    }
