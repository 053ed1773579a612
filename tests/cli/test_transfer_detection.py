"""`dptn transfer` on images without keypoints, with the shipped detector."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from icc_profiles import DISPLAY_P3, rgb_profile
from PIL import Image, ImageCms
from support import LINE_TIME, dptn
from typer.testing import Result

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "examples" / "figures" / "images"
PEOPLE = ROOT / "tests" / "data" / "rendered_people"
MODEL, DETECTOR = ROOT / "models" / "figures.onnx", ROOT / "models" / "figures-pose.pkl"


def counts(photos: Path, out: Path, code: int) -> dict[str, int]:
    result = dptn(
        "transfer", photos, "--poses", photos, "--detector", DETECTOR, "--model", MODEL,
        "-o", out, "--json",
    )  # fmt: skip
    assert result.exit_code == code, result.stderr
    found: dict[str, int] = json.loads(result.stdout)["counts"]
    return found


def test_poses_of_images_that_have_changed_are_detected_again(tmp_path: Path) -> None:
    """The poses in `keypoints.csv` are those of the images that `dptn detect-poses` looked at."""
    photos, keypoints = tmp_path / "photos", tmp_path / "photos" / "keypoints.csv"
    photos.mkdir()
    shutil.copy(FIGURES / "p0000_0.png", photos / "a.png")
    shutil.copy(FIGURES / "p0001_1.png", photos / "b.png")
    assert dptn("detect-poses", photos, "--detector", DETECTOR, "-o", keypoints).exit_code == 0
    copied = tmp_path / "copied"
    shutil.copytree(photos, copied, copy_function=shutil.copyfile)  # the times are new
    shutil.copy(FIGURES / "p0002_3.png", photos / "b.png")
    for folder, outdated in ((copied, 0), (photos, 1)):
        result = dptn(
            "transfer", folder / "a.png", "--poses", folder / "b.png", "--detector", DETECTOR,
            "--model", MODEL, "-o", tmp_path / f"out of {folder.name}",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        note = (
            f"{folder / 'keypoints.csv'}: 1 pose not used, because the image has changed since "
            "dptn detect-poses looked at it, such as b.png"
        )
        assert result.stderr.count(note) == outdated
        assert result.stderr.count("Detecting the poses on 1 image") == outdated
    lines = keypoints.read_text().splitlines()
    own = lines[2].replace("[", "[1", 1)  # somebody moves the nose
    keypoints.write_text("\n".join([*lines[:2], own, ""]))
    result = dptn(
        "transfer", photos / "a.png", "--poses", photos / "b.png", "--model", MODEL,
        "-o", tmp_path / "by hand",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "has changed" not in result.stderr


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

    monkeypatch.setattr("dptn_cli.detect.selection.OpenpifpafDetector", absent)
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
    result = dptn(*command, "--json")
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
    command += ["--detector", "openpifpaf"]
    if hidden == "package":
        monkeypatch.setitem(sys.modules, "openpifpaf", None)
        command[-1] = DETECTOR
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
    found = dptn("detect-poses", photos, "-o", photos / "keypoints.csv", "--detector", DETECTOR)
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
    assert changed.exit_code == 0, "a changed image was not looked at"
    assert "1 image without keypoints, with MoveNet" in LINE_TIME.sub("", changed.stderr)
    assert len(list(out.glob("*_vis.png"))) == 3


@pytest.mark.parametrize("later_s", [60, -1e6], ids=["newer", "older"])
def test_an_image_that_is_replaced_is_looked_at_whatever_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later_s: float
) -> None:
    """A copy may keep the time of its original, which is older than the log."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    nobody = photos / "nobody.png"
    Image.fromarray(np.full((128, 88, 3), 255, np.uint8)).save(nobody)
    found = dptn("detect-poses", photos, "-o", photos / "keypoints.csv", "--detector", "movenet")
    assert found.exit_code == 1
    command = ("transfer", nobody, "--poses", photos / "p0000_0.png", "--model", MODEL, "-o", out)
    assert dptn(*command).exit_code == 1
    shutil.copy(FIGURES / "p0001_1.png", nobody)
    os.utime(nobody, (time.time() + later_s,) * 2)
    assert dptn(*command).exit_code == 0


def no_detector(*_: object, **__: object) -> None:
    raise AssertionError("what is known is not detected again")


@pytest.fixture
def no_openpifpaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No published checkpoint, so that `auto` is MoveNet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def transfer(photos: Path, out: Path, *more: object) -> Result:
    return dptn("transfer", photos, "--poses", photos, "--model", MODEL, "-o", out, *more)


def counts_of(result: Result) -> dict[str, int]:
    assert result.stdout, result.stderr
    found: dict[str, int] = json.loads(result.stdout)["counts"]
    return found


@pytest.mark.usefixtures("no_openpifpaf")
def test_the_detector_is_named_in_a_message_the_record_and_run_json(tmp_path: Path) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    result = transfer(photos, out)
    assert result.exit_code == 0, result.stderr
    said = LINE_TIME.sub("", result.stderr)
    assert "Detecting the poses on 2 images without keypoints, with MoveNet (built in).\n" in said
    assert json.loads((out / "run.json").read_text())["request"]["detector"] == "movenet"
    lines = [json.loads(line) for line in (out / "keypoints.csv.record.jsonl").open()]
    assert [line["detector"] for line in lines] == ["movenet", "movenet"]
    assert {line["people"] for line in lines} == {1}


@pytest.mark.usefixtures("no_openpifpaf")
def test_what_was_found_counts_whatever_detector_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    nobody = photos / "nobody.png"
    Image.fromarray(np.full((128, 88, 3), 255, np.uint8)).save(nobody)
    assert counts_of(transfer(photos, out, "--json"))["failed"] == 5
    with monkeypatch.context() as patch:
        for name in ("OpenpifpafDetector", "MovenetDetector"):
            patch.setattr(f"dptn_cli.detect.selection.{name}", no_detector)
        for detector in ("auto", "movenet", str(DETECTOR), "openpifpaf"):
            result = transfer(photos, out, "--detector", detector, "--json")
            assert counts_of(result) == {"planned": 9, "done": 0, "skipped": 4, "failed": 5}
        said = LINE_TIME.sub("", transfer(photos, out, "--detector", DETECTOR).stderr)
        assert "3 images keep what another detector found earlier" in said
    shutil.copy(FIGURES / "p0002_0.png", nobody)  # the image changes
    assert counts_of(transfer(photos, out, "--json"))["done"] == 5


@pytest.mark.usefixtures("no_openpifpaf")
def test_nobody_is_looked_for_again_if_the_user_wants_it(tmp_path: Path) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    Image.fromarray(np.full((128, 88, 3), 255, np.uint8)).save(photos / "nobody.png")
    record = out / "keypoints.csv.record.jsonl"
    for lines, more in ((3, ()), (3, ()), (4, ("--retry-failed",))):
        assert transfer(photos, out, *more).exit_code == 1
        assert len(record.read_text().splitlines()) == lines


@pytest.mark.usefixtures("no_openpifpaf")
def test_poses_of_openpifpaf_are_kept_by_auto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of an older version has no name of the detector."""
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    assert transfer(photos, out, "--detector", DETECTOR).exit_code == 0
    record = out / "keypoints.csv.record.jsonl"
    new_keys = ("detector", "picture_bytes", "picture_mtime_ns")
    old = [
        {key: value for key, value in json.loads(line).items() if key not in new_keys}
        for line in record.open()
    ]
    record.write_text("".join(json.dumps(line) + "\n" for line in old))
    monkeypatch.setattr("dptn_cli.detect.selection.MovenetDetector", no_detector)
    assert counts_of(transfer(photos, out, "--json"))["skipped"] == 4
    assert json.loads((out / "run.json").read_text())["request"]["detector"] == "openpifpaf"


@pytest.mark.usefixtures("no_openpifpaf")
def test_a_dry_run_knows_what_detection_would_do(tmp_path: Path) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    Image.fromarray(np.full((128, 88, 3), 255, np.uint8)).save(photos / "nobody.png")
    before = transfer(photos, out, "--dry-run", "--json")
    assert counts_of(before) == {"planned": 9, "skipped": 0, "failed": 0, "to_do": 9}
    assert not out.exists()
    said = LINE_TIME.sub("", transfer(photos, out, "--dry-run").stderr)
    assert "would detect the poses on 3 images without keypoints, with MoveNet (built in)" in said
    assert transfer(photos, out).exit_code == 1
    after = transfer(photos, out, "--dry-run", "--json")
    assert after.exit_code == 1
    assert "would detect" not in transfer(photos, out, "--dry-run").stderr
    assert counts_of(after) == {"planned": 9, "skipped": 4, "failed": 5, "to_do": 0}


@pytest.mark.usefixtures("no_openpifpaf")
@pytest.mark.parametrize("role", ["source", "target"])
def test_a_dry_run_meets_broken_images_before_their_poses_are_detected(
    tmp_path: Path, role: str
) -> None:
    good, broken = sorted(two_photos(tmp_path / "photos").iterdir())
    broken.write_bytes(broken.read_bytes()[:2000])
    source, pose = (broken, good) if role == "source" else (good, broken)
    command = ("transfer", source, "--poses", pose, "--model", MODEL, "-o", tmp_path / "out")
    for more in (("--dry-run",), ()):
        result = dptn(*command, *more)
        assert result.exit_code == 1, result.stderr
        assert f"{broken.name}: cannot be decoded" in result.stderr


@pytest.mark.usefixtures("no_openpifpaf")
@pytest.mark.parametrize("detector", ["openpifpaf", "none.pkl"])
def test_a_dry_run_ends_as_the_run_would_without_its_detector(
    tmp_path: Path, detector: str
) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    said = []
    for more in ((), ("--dry-run",)):
        result = transfer(photos, out, "--detector", detector, *more)
        assert result.exit_code == 2
        said.append(LINE_TIME.sub("", result.stderr))
    assert said[0] == said[1]


@pytest.mark.usefixtures("no_openpifpaf")
def test_crowds_are_told(tmp_path: Path) -> None:
    photos, out = two_photos(tmp_path / "photos"), tmp_path / "out"
    first, second = (Image.open(path) for path in sorted(photos.iterdir()))
    both = Image.new("RGB", (first.width * 2, first.height), "white")
    both.paste(first, (0, 0))
    both.paste(second, (first.width, 0))
    both.save(photos / "both.png")
    for _ in range(2):  # found now, and known from the first run
        said = LINE_TIME.sub("", transfer(photos, out).stderr)
        assert "1 image shows several people, and the largest is taken: both.png (2)\n" in said
    found = dptn("detect-poses", photos, "-o", tmp_path / "k.csv")
    said = LINE_TIME.sub("", found.stderr)
    assert "1 image shows several people, and the largest is taken: both.png (2)\n" in said


@pytest.mark.usefixtures("no_openpifpaf")
def test_the_model_of_the_repository_is_named_if_nobody_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = two_photos(tmp_path / "photos")
    (tmp_path / "models").mkdir()
    shutil.copy(MODEL, tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DPTN_MODEL", raising=False)
    said = dptn("transfer", photos, "--poses", photos, "-o", "out").stderr
    assert "models/figures.onnx knows drawn figures, not photos" in said
    assert "knows drawn figures" not in transfer(photos, tmp_path / "out2").stderr


def test_poses_that_take_the_sources_too(tmp_path: Path) -> None:
    photos = two_photos(tmp_path / "photos")
    first, second = sorted(photos.iterdir())
    result = dptn("transfer", "--poses", first, second, "--model", MODEL, "-o", tmp_path / "out")
    assert result.exit_code == 2
    said = LINE_TIME.sub("", result.stderr)
    assert said.startswith("Error: no SOURCES: --poses takes every word up to the next option")
    assert f"dptn transfer {second} --poses {first}" in said


def decibels(first: Path, second: Path) -> float:
    """Peak signal-to-noise ratio of two images."""
    a, b = (np.asarray(Image.open(path).convert("RGB"), float) for path in (first, second))
    return float(10 * np.log10(255**2 / ((a - b) ** 2).mean()))


@pytest.mark.slow
@pytest.mark.usefixtures("no_openpifpaf")
def test_the_demo_without_keypoints_shows_people_in_the_right_poses(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(FIGURES, images)
    pairs = shutil.copy(FIGURES.parent / "pairs.csv", tmp_path)
    result = dptn("transfer", "--pairs", pairs, "--images", images, "--model", MODEL, "-o", out)
    assert result.exit_code == 0, result.stderr
    outcomes = [json.loads(line) for line in (out / "manifest.jsonl").open()]
    assert len(outcomes) == 72
    scores = []
    for outcome in outcomes:
        target = images / outcome["target"]
        score = decibels(out / outcome["output"], target)
        assert score > 2 + decibels(images / outcome["source"], target), outcome["output"]
        scores.append(score)
    assert np.mean(scores) > 21  # 26.0 with the true keypoints, 14.4 for the source itself


@pytest.mark.usefixtures("no_openpifpaf")
@pytest.mark.parametrize("kind", ["heic", "p3"])
def test_a_photo_of_a_phone_from_detection_to_result(tmp_path: Path, kind: str) -> None:
    """HEIC, and wide color: the pose and the result are those of the plain sRGB image."""
    plain, photos = tmp_path / "plain", tmp_path / "photos"
    plain.mkdir()
    photos.mkdir()
    image = Image.open(PEOPLE / "person_3.jpg").convert("RGB")
    image.save(plain / "anna.png")
    if kind == "heic":
        pillow_heif.from_pillow(image).save(photos / "anna.heic", quality=-1)
    else:
        p3 = rgb_profile(DISPLAY_P3)
        wide = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(p3))
        )
        assert wide is not None
        assert np.abs(np.asarray(wide, int) - np.asarray(image, int)).max() > 8
        wide.save(photos / "anna.png", icc_profile=p3)
    results, poses = [], []
    for folder in (plain, photos):
        out = tmp_path / f"out-{folder.name}"
        result = dptn("transfer", folder, "--poses", PEOPLE / "person_1.jpg", "--model", MODEL,
                      "-o", out)  # fmt: skip
        assert result.exit_code == 0, result.stderr
        (path,) = out.glob("*_vis.png")
        results.append(np.asarray(Image.open(path), int))
        (line,) = (line for line in (out / "keypoints.csv.record.jsonl").open() if "anna" in line)
        poses.append(np.array([json.loads(line)["keypoints_y"], json.loads(line)["keypoints_x"]]))
    assert np.abs(poses[0] - poses[1]).max() < 3
    assert np.abs(results[0] - results[1]).mean() < 2


@pytest.mark.usefixtures("no_openpifpaf")
@pytest.mark.parametrize("rules", [("--person", "error"), ("--min-joints", 18)])
def test_people_that_other_rules_refused_are_looked_at(
    tmp_path: Path, rules: tuple[object, ...]
) -> None:
    """Only that nobody is on an image is taken from `dptn detect-poses`."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    first, second = (Image.open(FIGURES / name) for name in ("p0000_0.png", "p0001_0.png"))
    both = Image.new("RGB", (first.width * 2, first.height), "white")
    both.paste(first, (0, 0))
    both.paste(second, (first.width, 0))
    both.crop((0, 0, both.width, int(both.height * 0.8))).save(photos / "both.png")
    found = dptn("detect-poses", photos, "-o", photos / "keypoints.csv", *rules)
    assert found.exit_code == 1
    assert transfer(photos / "both.png", out).exit_code == 0
