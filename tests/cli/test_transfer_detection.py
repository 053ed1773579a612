"""`dptn transfer` on pictures without keypoints, with the shipped detector."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import dptn

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "examples" / "figures" / "images"
MODEL, DETECTOR = ROOT / "models" / "figures.onnx", ROOT / "models" / "figures-pose.pkl"


def counts(photos: Path, out: Path, code: int) -> dict[str, int]:
    result = dptn(
        "transfer", photos, "--poses", photos, "--detector", DETECTOR, "--model", MODEL,
        "-o", out, "--json",
    )  # fmt: skip
    assert result.exit_code == code, result.stderr
    found: dict[str, int] = json.loads(result.stdout)["counts"]
    return found


def test_figures_without_keypoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detected, transferred, kept for the next run; nobody found fails that picture's items."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in ("p0000_0.png", "p0001_0.png"):
        shutil.copy(FIGURES / name, photos / name)
    assert counts(photos, out, 0)["done"] == 4
    lines = (out / "keypoints.csv").read_text().splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == [
        "../photos/p0000_0.png", "../photos/p0001_0.png",
    ]  # fmt: skip
    Image.fromarray(np.full((128, 88, 3), 255, np.uint8)).save(photos / "nobody.png")
    assert counts(photos, out, 1) == {"planned": 9, "done": 0, "skipped": 4, "failed": 5}
    reasons = [json.loads(line)["reason"] for line in (out / "manifest.jsonl").open()]
    assert any("nobody.png: " in reason for reason in reasons)
    (photos / "nobody.png").unlink()

    def absent(*_: object) -> None:
        raise AssertionError("what is known is not detected again")

    monkeypatch.setattr("dptn_cli.detect.Detector", absent)
    assert counts(photos, out, 0)["skipped"] == 4


def test_keypoints_of_another_origin_are_not_overwritten(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    out.mkdir()
    shutil.copy(FIGURES / "p0000_0.png", photos)
    (out / "keypoints.csv").write_text("mine")
    result = dptn("transfer", photos, "--poses", photos, "--detector", DETECTOR,
                  "--model", MODEL, "-o", out)  # fmt: skip
    assert result.exit_code == 2
    assert "not from an earlier run" in result.stderr
    assert (out / "keypoints.csv").read_text() == "mine"
