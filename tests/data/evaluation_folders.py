"""Results, true and reference images for the tests of `dptn evaluate`, and stand-in weights."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from stand_in_weights import write_stand_ins
from typer.testing import CliRunner, Result

from dptn_cli.cli import app

FASHION, MARKET = (256, 176), (128, 64)


@cache
def stand_in_home() -> Path:
    """Return a TORCH_HOME with all stand-in weights, created once per session."""
    home = Path(tempfile.mkdtemp(prefix="dptn-torch-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    write_stand_ins(home)
    return home


@pytest.fixture
def with_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Stand-in weights in torch.hub's cache, and a cache folder of the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(stand_in_home()))
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty torch.hub cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "torch" / "hub" / "checkpoints"


def image(seed: int, size: tuple[int, int] = FASHION) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) smooth colours with a little noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    smooth = np.asarray(
        Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    )
    noisy = smooth.astype(int) + random.integers(-12, 13, smooth.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def similar(true: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Return a changed image; the higher the seed modulo 10, the larger the change."""
    other = image(1000 + seed, true.shape[:2])
    share = 0.1 + 0.08 * (seed % 10)
    return (true * (1 - share) + other * share).astype(np.uint8)


def fake_features(images_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Stand in for an Inception: (N, H, W, 3) uint8 -> (N, 2048), the first values."""
    flat = images_u8.reshape(len(images_u8), -1)[:, :2048].astype(np.float32)
    return np.pad(flat, ((0, 0), (0, 2048 - flat.shape[1])))


@dataclass(frozen=True)
class Scene:
    """The folders of one evaluation."""

    results: Path
    truth: Path
    reference: Path

    def evaluate(self, *options: object) -> Result:
        return evaluate(self.results, "--truth", self.truth, "-o", self.report, *options)

    @property
    def report(self) -> Path:
        return self.results.parent / "report"

    def document(self) -> dict[str, object]:
        text = (self.report / "report.json").read_text()
        document: dict[str, object] = json.loads(text, parse_constant=_refuse)
        return document


def _refuse(constant: str) -> object:
    raise AssertionError(f"{constant} in the report")


def evaluate(*arguments: object) -> Result:
    """Run `dptn evaluate` in this process."""
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def make_scene(
    folder: Path,
    *,
    pairs: int = 4,
    references: int = 3,
    size: tuple[int, int] = MARKET,
    manifest: bool = True,
    dataset: str | None = "market",
) -> Scene:
    """Write `pairs` results with their true images, and `references` other images."""
    scene = Scene(folder / "results", folder / "truth", folder / "reference")
    for path in (scene.results, scene.truth, scene.reference):
        path.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(pairs):
        true = image(index, size)
        name = f"a{index}_2_b{index}_vis.png"
        Image.fromarray(true).save(scene.truth / f"b{index}.png")
        Image.fromarray(similar(true, index)).save(scene.results / name)
        lines.append(
            {"output": name, "source": f"a{index}.png", "target": f"b{index}.png", "status": "done"}
        )
    for index in range(references):
        Image.fromarray(image(500 + index, size)).save(scene.reference / f"r{index}.png")
    if manifest:
        content = "".join(json.dumps(line) + "\n" for line in lines)
        (scene.results / "manifest.jsonl").write_text(content)
    if dataset:
        document = {"model": {"dataset": dataset}}
        (scene.results / "run.json").write_text(json.dumps(document))
    return scene
