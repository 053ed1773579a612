"""`dptn transfer` on images without keypoints, with the shipped detector."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
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
    """Detected, transferred, kept for the next run; nobody found fails that image's items."""
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

    monkeypatch.setattr("dptn_cli.transfer.detection.Detector", absent)
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
    assert "was not written by dptn transfer" in result.stderr
    assert (out / "keypoints.csv").read_text() == "mine"


def two_photos(folder: Path) -> Path:
    folder.mkdir()
    for name in ("p0000_0.png", "p0001_0.png"):
        shutil.copy(FIGURES / name, folder / name)
    return folder


def test_a_dry_run_detects_nothing(tmp_path: Path) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    command = ("transfer", photos, "--poses", photos, "--model", MODEL, "-o", out, "--dry-run")
    result = dptn(*command, "--json", "--detector", "not-needed-yet")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["to_do"] == 4
    assert not out.exists()


@pytest.mark.parametrize("hidden", ["package", "weights"])
def test_what_detection_needs_is_told_with_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    photos = two_photos(tmp_path / "photos")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    command = ["transfer", photos, "--poses", photos, "--model", MODEL, "-o", tmp_path / "out"]
    if hidden == "package":
        monkeypatch.setitem(sys.modules, "openpifpaf", None)
        command += ["--detector", DETECTOR]
    result = dptn(*command)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert str(photos / "p0001_0.png") in result.stderr
    needed = "openpifpaf==0.13.11" if hidden == "package" else "5fe1c400.pkl is needed"
    assert needed in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_interrupted_detection_goes_on(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(60):
        shutil.copy(FIGURES / f"p{number % 6:04}_{number % 4}.png", photos / f"{number}.png")
    pose = two_photos(tmp_path / "pose") / "p0000_0.png"
    command = [
        sys.executable, "-m", "dptn_cli", "transfer", photos, "--poses", pose,
        "--detector", DETECTOR, "--model", MODEL, "-o", out,
    ]  # fmt: skip
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    record = out / "keypoints.csv.record.jsonl"
    while process.poll() is None and not (record.is_file() and record.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"Run the same command to resume" in said
    found = len(record.read_text().splitlines())
    assert 0 < found < 61
    assert not (out / "manifest.jsonl").exists()
    again = subprocess.run([*map(str, command)], capture_output=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert len(list(out.glob("*_vis.png"))) == 60
    assert len(record.read_text().splitlines()) == 61


def test_where_detect_poses_found_nobody_only_those_items_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's order of commands, with no checkpoint by name."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    nobody = photos / "nobody.png"
    Image.fromarray(np.full((128, 88, 3), 255, np.uint8)).save(nobody)
    found = dptn("detect-poses", photos, "-o", photos / "keypoints.csv", "--checkpoint", DETECTOR)
    assert found.exit_code == 1
    command = ("transfer", photos, "--poses", photos / "p0000_0.png", "--model", MODEL, "-o", out)
    for more in (("--dry-run",), ()):
        result = dptn(*command, *more)
        assert result.exit_code == 1, result.stderr
        assert "nobody.png: no person found (according to dptn detect-poses" in result.stderr
    assert len(list(out.glob("*_vis.png"))) == 2
    shutil.copy(FIGURES / "p0001_1.png", nobody)
    os.utime(nobody, (time.time() + 60,) * 2)
    changed = dptn(*command)
    assert changed.exit_code == 2, "a changed image was not looked at"
    assert "nobody.png" in changed.stderr
