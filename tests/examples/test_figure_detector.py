"""The whole chain with the shipped models: detect poses in figures, then transfer them."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from support import dptn

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "examples" / "figures" / "images"
NAMES = ("p0000_0.png", "p0003_0.png", "p0004_0.png")


def test_detection_and_transfer_reproduce_the_figures(tmp_path: Path) -> None:
    photos, results = tmp_path / "photos", tmp_path / "results"
    photos.mkdir()
    for name in NAMES:
        shutil.copy(FIGURES / name, photos)
    detector = ROOT / "models" / "figures-pose.pkl"
    keypoints = photos / "keypoints.csv"
    detected = dptn("detect-poses", photos, "-o", keypoints, "--detector", detector)
    assert detected.exit_code == 0, detected.stderr
    transferred = dptn(
        "transfer", photos, "--poses", photos, "-o", results,
        "--model", ROOT / "models" / "figures.onnx", "--json",
    )  # fmt: skip
    assert transferred.exit_code == 0, transferred.stderr
    assert json.loads(transferred.stdout)["counts"]["done"] == len(NAMES) ** 2
    for name in NAMES:
        stem = name.removesuffix(".png")
        result = np.asarray(Image.open(results / f"{stem}_2_{stem}_vis.png"), np.float64)
        truth = np.asarray(Image.open(photos / name), np.float64)
        assert result.shape == truth.shape
        # A copy of the source in another pose is 17 levels away on average (models/README.md).
        assert np.abs(result - truth).mean() < 10
