"""Who may import whom; what `dptn --help` may not load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dptn_cli"
MODULES = sorted(p for p in PACKAGE.rglob("*.py"))

# A module imports from layers below its own, or from its own package.
LAYERS = [
    {
        "records",
        "scores",
        "digests",
        "errors",
        "files",
        "cache",
        "inventory",
        "locations",
        "manifest_copy",
        "stores",
        "folders",
        "journal",
        "interrupt",
        "torchvision_import",
        "weight_files",
        "",
    },
    {"onnx_file", "binding", "providers"},
    {
        "pairs",
        "keypoints",
        "images",
        "skeleton",
        "sheets",
        "session",
        "quantization",
        "manifest",
        "network",
        "metrics",
    },
    {"placing", "pair_checks"},
    {
        "plan",
        "pipeline",
        "export",
        "detect",
        "evaluate",
        "report",
        "train",
        "prepare",
        "rates",
        "grids",
    },
    {"run_file", "diagnosis", "bench", "tuning", "device_pool", "ray_pool", "calibration"},
    {"cli"},
    {"__main__"},
]
ONLY_IN = {
    "typer": {"cli"},
    "rich": {"cli"},
    "openpifpaf": {"detect"},
    "onnxruntime": {"session", "binding", "export", "quantization"},
    "onnx": {"export", "quantization"},
    "torch": {"network", "export", "train", "detect", "metrics", "torchvision_import"},
    "torchvision": {"network", "train", "detect", "metrics", "torchvision_import"},
    "accelerate": {"train"},
    "lpips": {"metrics"},
    "torch_fidelity": {"metrics"},
    "skimage": {"metrics"},
    "ray": {"ray_pool"},
    "upath": {"locations"},
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
)


LONGEST_FUNCTION = 40  # lines; a command's options are as many as they are


def part(module: str) -> str:
    """`dptn_cli.network.blocks` -> `network`."""
    return (module.split(".") + [""])[1]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def own_part(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def level(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    own = own_part(path)
    for name in imports(path):
        if name.split(".")[0] == "dptn_cli" and part(name) != own:
            assert level(part(name)) < level(own) or level(own) == 0 == level(part(name)), name


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_each_package_has_its_home(path: Path) -> None:
    for name in imports(path):
        homes = ONLY_IN.get(name.split(".")[0])
        assert homes is None or own_part(path) in homes, name


def loaded_after(code: str) -> set[str]:
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
    assert not loaded_after(code) & set(HEAVY)


def test_transfer_loads_no_torch() -> None:
    code = "import dptn_cli.plan, dptn_cli.pipeline, dptn_cli.session, dptn_cli.run_file"
    loaded = loaded_after(code)
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "onnx", "torchvision", "openpifpaf", "ray", "upath", "fsspec"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_functions_are_short(path: Path) -> None:
    functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
    lines = {
        one.name: (one.end_lineno or one.lineno) - one.lineno + 1
        for one in functions
        if "error_boundary" not in map(ast.unparse, one.decorator_list)
    }
    assert {name: count for name, count in lines.items() if count > LONGEST_FUNCTION} == {}
