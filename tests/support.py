"""What the tests build their cases from: networks, images, lists, and the command line."""

import csv
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from seeded_weights import seeded_tensor
from typer.testing import CliRunner, Result

from dptn_cli.cli import app
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.generator import Generator
from dptn_cli.types import ImageSpec

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
FIGURES = ROOT / "examples" / "figures"
FIGURES_MODEL = ROOT / "models" / "figures.onnx"
PEOPLE = ROOT / "examples" / "people"
TINY_SPEC = ImageSpec("tiny", image_size=(64, 40), network_size=(64, 48))
TINY_CONFIG = GeneratorConfig(width=8, residual_blocks=1, feed_forward=32)
# What a line of messages begins with where stderr is not a terminal, and in a log file.
LINE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ")


@dataclass(frozen=True)
class Golden:
    """What the official code gave for the stand-in weights."""

    arrays: dict[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]


def tiny_generator(seed: int = 0) -> Generator:
    generator = Generator(TINY_CONFIG)
    state = generator.state_dict()
    seeded = {name: seeded_tensor(name, tuple(t.shape), seed) for name, t in state.items()}
    generator.load_state_dict({name: torch.from_numpy(value) for name, value in seeded.items()})
    return generator.eval()


def build_library(name: str, folder: Path) -> Path:
    """Compile `tests/data/NAME.c` into a library for LD_PRELOAD."""
    library = folder / f"{name}.so"
    command = ["gcc", "-shared", "-fPIC", "-o", library, DATA / f"{name}.c", "-ldl"]
    subprocess.run(list(map(str, command)), check=True, timeout=60)
    return library


def dptn(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read_pixels(path: Path | BinaryIO) -> npt.NDArray[np.float64]:
    """Read an image as (H, W, 3) RGB, 0 to 255."""
    return np.asarray(Image.open(path).convert("RGB"), np.float64)


def draw_image(seed: int, size: tuple[int, int] = TINY_SPEC.image_size) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def draw_pose(seed: int, size: tuple[int, int] = TINY_SPEC.image_size) -> npt.NDArray[np.int64]:
    pose = np.random.default_rng(1000 + seed).integers(0, size, (18, 2))
    pose[seed % 18] = -1
    return pose


def write_annotations(path: Path, poses: Mapping[str, npt.NDArray[Any]]) -> Path:
    lines = [f"{name}: {p[:, 0].tolist()}: {p[:, 1].tolist()}" for name, p in poses.items()]
    path.write_text("\n".join(["name:keypoints_y:keypoints_x", *lines]) + "\n")
    return path


def write_pairs(path: Path, pairs: Iterable[tuple[str, ...]], header: str = "from,to") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(pairs)
    return path


@dataclass(frozen=True)
class Folder:
    """A folder of images `0.png` ... with keypoints and pairs, and the model to use."""

    path: Path
    model: Path

    @property
    def pairs(self) -> Path:
        return self.path / "pairs.csv"

    @property
    def out(self) -> Path:
        return self.path.parent / "out"

    def transfer(self, *more: object) -> Result:
        named = () if "--pairs" in more else ("--pairs", self.pairs)
        return dptn("transfer", *named, "--model", self.model, "-o", self.out, *more)

    def manifest(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "manifest.jsonl").open()]

    def results(self) -> dict[str, bytes]:
        return {p.relative_to(self.out).as_posix(): p.read_bytes() for p in images(self.out)}


def images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".jpg"))


def make_folder(path: Path, model: Path, *, count: int = 4) -> Folder:
    """`count` images, and every ordered pair of two of them."""
    path.mkdir(parents=True)
    names = [f"{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        draw_image(i).save(path / name)
    write_annotations(path / "keypoints.csv", {n: draw_pose(i) for i, n in enumerate(names)})
    write_pairs(path / "pairs.csv", [(a, b) for a in names for b in names if a != b])
    return Folder(path, model)
