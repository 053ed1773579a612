"""The wheel, installed where nothing else is: it has every file, and needs no torch."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import ROOT, images

from dptn_cli import __version__

pytestmark = pytest.mark.slow

FIGURES = ROOT / "examples" / "figures"


def run(folder: Path, *command: object) -> str:
    """Run a command away from the checkout, and without this environment's packages."""
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: pip builds in the folder that it is given."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT / "dptn_cli", folder / "dptn_cli", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    run(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", "dist", ".")
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and its core dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    run(folder, sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(folder, python, "-m", "pip", "install", "--quiet", wheel)
    return python


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    package = ROOT / "dptn_cli"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    contents = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in contents if name.startswith("dptn_cli/")} == expected
    assert f"dptn_cli-{__version__}.dist-info/licenses/LICENSE" in contents


def test_it_transfers_without_torch(python: Path, tmp_path: Path) -> None:
    listed = run(
        tmp_path, python, "-c",
        "import dptn_cli, importlib.util as u; print(dptn_cli.__file__, u.find_spec('torch'))",
    )  # fmt: skip
    location, torch = listed.split()
    assert Path(location).is_relative_to(python.parents[1])
    assert torch == "None"
    dptn = python.with_name("dptn")
    assert run(tmp_path, dptn, "--version") == f"dptn {__version__}\n"
    summary = run(
        tmp_path, dptn, "transfer", "--pairs", FIGURES / "pairs.csv", "--images",
        FIGURES / "images", "--model", ROOT / "models" / "figures.onnx", "--provider", "cpu",
        "--json", "-o", "results",
    )  # fmt: skip
    assert json.loads(summary)["counts"] == {"planned": 72, "done": 72, "skipped": 0, "failed": 0}
    assert len(images(tmp_path / "results")) == 72


def test_it_finds_people_without_torch(python: Path, tmp_path: Path) -> None:
    """From two photos to a new pose, with nothing but the wheel and a model."""
    people = ROOT / "tests" / "data" / "rendered_people"
    dptn = python.with_name("dptn")
    summary = run(
        tmp_path, dptn, "transfer", people / "person_1.jpg", "--poses", people / "person_3.jpg",
        "--model", ROOT / "models" / "figures.onnx", "--grid", "--json", "-o", "results",
    )  # fmt: skip
    assert json.loads(summary)["counts"]["done"] == 1
    assert json.loads((tmp_path / "results" / "run.json").read_text())["request"]["detector"] == (
        "movenet"
    )
    assert (tmp_path / "results" / "grids" / "page-00001.png").is_file()
    found = run(tmp_path, dptn, "detect-poses", people, "-o", "k.csv", "--json")
    assert json.loads(found)["counts"]["done"] == 8
