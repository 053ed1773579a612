"""`dptn detect-poses` from the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from detectors import MODELS, draw_figure
from PIL import Image
from support import LINE_TIME, dptn
from typer.testing import Result

from dptn_cli.cli.detect_poses import MAX_FAILURES_SHOWN, app
from dptn_cli.detect import AUTO, PersonChoice
from dptn_cli.keypoints import Annotations, PoseFiles
from dptn_cli.signals import StopRequest

SHIPPED = MODELS / "figures-pose.pkl"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three figures, one of them in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "more/a.png")):
        draw_figure(number, (256, 176))[0].save(folder / name)
    return folder


def detect(images: Path, *more: object, detector: Path = SHIPPED) -> Result:
    out = () if "-o" in more else ("-o", images.parent / "keypoints.csv")
    return dptn("detect-poses", images, "--detector", detector, *out, *more)


def record(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "keypoints.csv.record.jsonl").open()]


def test_a_folder_becomes_an_annotation_csv(photos: Path) -> None:
    result = detect(photos)
    assert result.exit_code == 0, result.stderr
    poses = Annotations(photos.parent / "keypoints.csv")
    assert list(poses) == ["a.png", "b.png", "more/a.png"]
    for number, name in enumerate(poses):
        truth = draw_figure(number, (256, 176))[1]
        both = (poses[name] != -1).all(axis=1) & (truth != -1).all(axis=1)
        assert both.sum() > 12
        assert np.abs(poses[name] - truth)[both].mean() < 3
    assert {line["status"] for line in record(photos.parent)} == {"done"}
    assert all(line["people"] == 1 and line["joints"] > 12 for line in record(photos.parent))


def test_an_image_without_people_is_listed_and_gets_no_row(
    photos: Path, fresh_checkpoint: Path
) -> None:
    result = detect(photos, detector=fresh_checkpoint)
    assert result.exit_code == 1
    assert "more/a.png: no person found" in result.stderr
    assert (photos.parent / "keypoints.csv").read_text() == "name:keypoints_y:keypoints_x\n"
    assert [line["status"] for line in record(photos.parent)] == ["failed"] * 3


def test_a_corrupt_image_does_not_affect_others(photos: Path) -> None:
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:900])
    result = detect(photos)
    assert result.exit_code == 1
    assert "b.png: " in result.stderr
    assert list(Annotations(photos.parent / "keypoints.csv")) == ["a.png", "more/a.png"]


def test_the_same_command_resumes(photos: Path) -> None:
    kept = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(kept[:900])
    assert detect(photos).exit_code == 1
    (photos / "b.png").write_bytes(kept)
    again = json.loads(detect(photos, "--json").stdout)
    assert again["counts"] == {"planned": 3, "done": 1, "skipped": 2, "failed": 0}
    first = (photos.parent / "keypoints.csv").read_bytes()
    (photos.parent / "keypoints.csv").unlink()
    assert json.loads(detect(photos, "--json").stdout)["counts"]["skipped"] == 3
    assert (photos.parent / "keypoints.csv").read_bytes() == first


def test_changed_options_and_images_are_detected_again(photos: Path) -> None:
    detect(photos)
    for more in (("--overwrite",), ("--min-joints", "6"), ("--person", "best")):
        assert json.loads(detect(photos, "--json", *more).stdout)["counts"]["done"] == 3
    draw_figure(9, (256, 176))[0].save(photos / "a.png")
    counts = json.loads(detect(photos, "--json", "--person", "best").stdout)["counts"]
    assert (counts["done"], counts["skipped"]) == (1, 2)


def test_a_torn_record_is_read_as_far_as_it_goes(photos: Path) -> None:
    detect(photos)
    path = photos.parent / "keypoints.csv.record.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    counts = json.loads(detect(photos, "--json").stdout)["counts"]
    assert (counts["done"], counts["skipped"]) == (1, 2)


@pytest.mark.parametrize("pose_format", ["coco", "coco-results", "openpose", "openpifpaf"])
def test_other_formats(photos: Path, pose_format: str) -> None:
    detect(photos)
    other = photos.parent / ("poses.json" if pose_format.startswith("coco") else "poses")
    assert detect(photos, "-o", other, "--format", pose_format).exit_code == 0
    csv, read = PoseFiles(photos.parent / "keypoints.csv"), PoseFiles(other)
    for name in ("a.png", "b.png", "more/a.png"):
        one, same = csv.find(name), read.find(name)
        assert one is not None and same is not None
        assert np.abs(one.pose - same.pose).max() < 0.02


def test_previews_show_the_skeleton(photos: Path) -> None:
    preview = photos / "preview"  # inside the folder of images: not to be looked at itself
    for _ in range(2):
        assert detect(photos, "--preview", preview).exit_code == 0
    assert {p.relative_to(preview).as_posix() for p in preview.rglob("*.png")} == {
        "a.png.png", "b.png.png", "more/a.png.png",
    }  # fmt: skip
    drawn, bare = (np.asarray(Image.open(p)) for p in (preview / "a.png.png", photos / "a.png"))
    assert drawn.shape == bare.shape
    assert 0.01 < (drawn != bare).any(axis=2).mean() < 0.4


def test_previews_replace_no_image_of_others(photos: Path, tmp_path: Path) -> None:
    preview = tmp_path / "skeletons"
    assert detect(photos, "--preview", preview).exit_code == 0
    ours = (preview / "b.png.png").read_bytes()
    shutil.copy(photos / "a.png", preview / "a.png.png")
    (preview / "b.png.png").write_bytes(ours[:-20])  # damaged, but marked
    (preview / "more" / "a.png.png").write_bytes(b"no image")
    again = detect(photos, "--preview", preview, "--overwrite")
    assert again.exit_code == 0
    for name in ("a.png", "more/a.png"):
        assert (
            f"No preview of {name}: {preview / name}.png has no mark of dptn: move it, or choose "
            "another folder" in again.stderr
        )
    assert (preview / "a.png.png").read_bytes() == (photos / "a.png").read_bytes()
    assert (preview / "b.png.png").read_bytes() == ours
    assert (preview / "more" / "a.png.png").read_bytes() == b"no image"


def test_a_missing_preview_of_an_earlier_pose_is_told(photos: Path, tmp_path: Path) -> None:
    preview = tmp_path / "skeletons"
    (preview / "more").mkdir(parents=True)
    shutil.copy(photos / "a.png", preview / "a.png.png")
    (preview / "b.png.png").symlink_to("unmounted.png")
    (preview / "more" / "a.png.png").mkdir()
    assert detect(photos).exit_code == 0
    for _ in range(2):
        result = detect(photos, "--preview", preview)
        assert result.exit_code == 0
        for name, reason in {
            "a.png": "has no mark of dptn",
            "b.png": "No such file or directory",
            "more/a.png": "Is a directory",
        }.items():
            assert f"No preview of {name}: {preview / name}.png" in result.stderr
            assert reason in result.stderr
    assert (preview / "a.png.png").read_bytes() == (photos / "a.png").read_bytes()
    assert (preview / "b.png.png").is_symlink()


def test_a_name_that_is_too_long_for_a_preview(photos: Path, tmp_path: Path) -> None:
    name = f"{'n' * 250}.png"
    shutil.copy(photos / "a.png", photos / name)
    for _ in range(2):
        result = detect(photos, "--preview", tmp_path / "skeletons")
        assert result.exit_code == 0, result.stderr
        assert f"No preview of {name}" in result.stderr
        assert "File name too long" in result.stderr
    assert name in (tmp_path / "keypoints.csv").read_text()


def test_many_missing_previews_are_counted(photos: Path, tmp_path: Path) -> None:
    folder, preview = tmp_path / "many", tmp_path / "skeletons"
    folder.mkdir()
    preview.mkdir()
    for number in range(MAX_FAILURES_SHOWN + 3):
        shutil.copy(photos / "a.png", folder / f"{number}.png")
        shutil.copy(photos / "a.png", preview / f"{number}.png.png")
    result = detect(folder, "--preview", preview)
    assert result.exit_code == 0
    assert result.stderr.count("has no mark of dptn") == MAX_FAILURES_SHOWN
    assert "No preview of 3 more images." in result.stderr


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_an_image_is_no_output(photos: Path, more: tuple[str, ...]) -> None:
    shutil.copy(photos / "a.png", photos.parent / "other.png")
    for out, reason in ((photos / "a.png", "is one of the images"),
                        (photos.parent / "other.png", "is an image")):  # fmt: skip
        before = out.read_bytes()
        result = dptn("detect-poses", photos, "--detector", SHIPPED, "-o", out, *more)
        assert result.exit_code == 2
        assert f"{out} {reason}: name a pose file after -o" in result.stderr
        assert out.read_bytes() == before
    assert not list(photos.parent.rglob("*.jsonl"))


@pytest.mark.parametrize("pose_format", ["csv", "coco"])
def test_a_folder_is_no_pose_file(photos: Path, pose_format: str) -> None:
    out = photos.parent / "poses"
    out.mkdir()
    for more in ((), ("--overwrite",)):
        result = detect(photos, "-o", out, "--format", pose_format, *more)
        assert result.exit_code == 2
        assert "poses: is a folder; name a file in it" in result.stderr
    assert not list(photos.parent.glob("*.jsonl"))


@pytest.mark.parametrize("pose_format", ["openpose", "openpifpaf"])
def test_a_name_that_is_too_long_for_a_pose_file(photos: Path, pose_format: str) -> None:
    name = f"{'n' * 250}.png"
    shutil.copy(photos / "a.png", photos / name)
    out = photos.parent / "poses"
    result = detect(photos, "-o", out, "--format", pose_format)
    assert result.exit_code == 2
    assert "rename the image, or use another --format" in result.stderr
    assert not out.exists()


def test_the_document_has_the_notes_and_the_missing_previews(photos: Path, tmp_path: Path) -> None:
    (photos / "poster.psd").write_bytes(b"8BPS")
    preview = tmp_path / "skeletons"
    preview.mkdir()
    shutil.copy(photos / "a.png", preview / "a.png.png")
    document = json.loads(detect(photos, "--preview", preview, "--json").stdout)
    assert document["missing_previews"] == 1
    assert document["notes"] == ["1 file left out, of a kind that is not read: poster.psd"]


def test_a_dry_run_counts_known_failures(photos: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(photos / "blank.png")
    assert detect(photos).exit_code == 1
    lines = [line.split() for line in detect(photos, "--dry-run").stdout.splitlines()]
    for row in (["skipped", "3"], ["failed", "1"], ["to", "do", "0"]):
        assert row in lines


def test_what_is_left_out_is_said(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    for name in ("x.heic", "._a.png", "Thumbs.db"):
        (photos / name).write_bytes(b"?" * 40)
    note = "1 HEIC image left out: pip install 'dptn-cli[heic]'"
    result = detect(photos, "--dry-run")
    assert (result.exit_code, LINE_TIME.sub("", result.stderr)) == (0, f"{note}\n")
    assert detect(photos, "--dry-run", "--quiet").stderr == ""
    result = detect(photos, "--preview", photos, "--dry-run")
    assert result.exit_code == 2
    assert "4 images left out: this run writes to" in result.stderr


def test_a_dry_run_writes_nothing(photos: Path) -> None:
    result = detect(photos, "--dry-run", "--limit", "2")
    assert result.exit_code == 0
    assert "to do" in result.stdout
    assert sorted(photos.parent.iterdir()) == [photos]


def test_a_pose_file_that_is_not_ours_is_left_alone(photos: Path) -> None:
    own = photos.parent / "keypoints.csv"
    own.write_text("name:keypoints_y:keypoints_x\n")
    result = detect(photos)
    assert result.exit_code == 2
    assert "add --overwrite" in result.stderr
    assert own.read_text() == "name:keypoints_y:keypoints_x\n"
    assert detect(photos, "--overwrite").exit_code == 0


def test_a_file_that_differs_in_its_suffix_alone_is_not_ours(photos: Path) -> None:
    assert detect(photos).exit_code == 0
    own = photos.parent / "keypoints.json"
    own.write_text("mine")
    result = detect(photos, "-o", own, "--format", "coco")
    assert result.exit_code == 2
    assert "add --overwrite" in result.stderr
    assert own.read_text() == "mine"


def test_the_current_folder_has_a_record_beside_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos.parent / "poses").mkdir()
    monkeypatch.chdir(photos.parent / "poses")
    assert detect(photos, "-o", ".", "--format", "openpose", "--overwrite").exit_code == 0
    assert (photos.parent / "poses.record.jsonl").is_file()
    assert Path("a_keypoints.json").is_file()


@pytest.mark.parametrize("pose_format", ["openpose", "openpifpaf"])
def test_no_file_stays_of_an_image_that_shows_nobody_now(photos: Path, pose_format: str) -> None:
    poses = photos.parent / "poses"
    arguments = (photos, "-o", poses, "--format", pose_format)
    assert detect(*arguments).exit_code == 0
    Image.new("RGB", (88, 128), "white").save(photos / "more" / "a.png")
    assert detect(*arguments).exit_code == 1
    names = sorted(path.relative_to(poses).as_posix() for path in poses.rglob("*.json"))
    assert [name[:2] for name in names] in (["a_", "b_"], ["a.", "b."])


@pytest.mark.parametrize("pose_format", ["openpose", "openpifpaf"])
def test_a_file_of_the_users_own_stays(photos: Path, pose_format: str) -> None:
    poses = photos.parent / "poses"
    Image.new("RGB", (88, 128), "white").save(photos / "nobody.png")
    arguments = (photos, "-o", poses, "--format", pose_format)
    assert detect(*arguments).exit_code == 1
    end = "_keypoints.json" if pose_format == "openpose" else ".png.predictions.json"
    (poses / f"nobody{end}").write_text("drawn by hand")
    assert detect(*arguments).exit_code == 1
    assert (poses / f"nobody{end}").read_text() == "drawn by hand"


def test_a_run_over_other_images_adds_to_the_file(photos: Path) -> None:
    out = photos.parent / "keypoints.csv"
    detect(photos)
    everything = out.read_text()
    Image.new("RGB", (88, 128), "white").save(photos / "more" / "nobody.png")
    assert detect(photos / "more").exit_code == 1
    assert list(Annotations(out)) == ["a.png", "b.png", "more/a.png"], "its a.png is that one now"
    detect(photos, "--limit", "1")
    assert out.read_text() == everything
    Image.new("RGB", (88, 128), "white").save(photos / "b.png")
    assert detect(photos, "--limit", "2").exit_code == 1
    assert list(Annotations(out)) == ["a.png", "more/a.png"], "nobody is on b.png any more"
    detect(photos, "--limit", "1", "--overwrite")
    assert list(Annotations(out)) == ["a.png"]
    assert len(record(photos.parent)) == 1


@pytest.mark.parametrize("name", [b" a.png", b"\xff.png"])
def test_a_name_of_an_earlier_run_that_the_format_cannot_hold(photos: Path, name: bytes) -> None:
    out = photos.parent / "keypoints.csv"
    image = photos.parent / os.fsdecode(name)
    draw_figure(0, (128, 88))[0].save(image)
    assert "cannot hold this name" in detect(image, "-o", out).stderr
    assert detect(image, "-o", out, "--format", "coco").exit_code == 0
    assert detect(photos, "-o", out).exit_code == 0
    assert list(Annotations(out)) == ["a.png", "b.png", "more/a.png"]


def test_an_interrupt_leaves_out_the_old_pose_of_a_changed_image(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect(photos)
    draw_figure(9, (256, 176))[0].save(photos / "b.png")

    def at_once(stop: StopRequest) -> StopRequest:
        stop.requested = True
        return stop

    monkeypatch.setattr(StopRequest, "__enter__", at_once)
    assert detect(photos).exit_code == 130
    assert list(Annotations(photos.parent / "keypoints.csv")) == ["a.png", "more/a.png"]


def test_what_one_file_cannot_hold_stops_the_run(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    draw_figure(0, (128, 88))[0].save(other / "a.png")
    draw_figure(0, (128, 88))[0].save(other / "a\nb.png")
    result = detect(photos, other)
    assert result.exit_code == 2
    assert "would share one entry" in result.stderr
    assert "cannot hold this name" in result.stderr
    assert not (tmp_path / "keypoints.csv").exists()


def test_wrong_use_is_reported_before_anything_starts(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos.parent / "empty").mkdir()
    monkeypatch.setenv("TORCH_HOME", str(photos.parent / "hub"))
    cases: list[tuple[tuple[object, ...], str]] = [
        ((photos.parent / "empty",), "no images in"),
        ((photos.parent / "nowhere",), "no such file or folder"),
        ((photos, "--detector", "resnet51"), "no such file, and not a published checkpoint"),
        ((photos, "--detector", "openpifpaf"), "5fe1c400.pkl are missing: put the file into"),
    ]
    for arguments, message in cases:
        result = dptn("detect-poses", *arguments, "-o", photos.parent / "k.csv")
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (photos.parent / "k.csv").exists()


def test_a_hostile_checkpoint_is_refused_in_one_line(photos: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(photos / "it_ran"),)

    torch.save({"model": Evil()}, photos.parent / "evil.pkl")
    result = detect(photos, detector=photos.parent / "evil.pkl")
    assert result.exit_code == 2
    assert "not an openpifpaf checkpoint" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (photos / "it_ran").exists()


def test_the_error_for_a_missing_openpifpaf_is_one_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    result = detect(photos)
    assert result.exit_code == 2
    assert "--no-build-isolation --no-deps --no-cache-dir openpifpaf==0.13.11" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_interrupt_keeps_what_was_found(photos: Path) -> None:
    image = draw_figure(0, (256, 176))[0]
    for number in range(300):
        image.save(photos / f"{number}.png", compress_level=1)
    out = photos.parent / "keypoints.csv"
    command = [
        sys.executable, "-m", "dptn_cli", "detect-poses", photos, "-o", out,
        "--detector", SHIPPED, "--batch-size", "2",
    ]  # fmt: skip
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = photos.parent / "keypoints.csv.record.jsonl"
    while process.poll() is None and not (lines.is_file() and lines.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Interrupted" in stderr
    done = [line["picture"] for line in record(photos.parent) if line["status"] == "done"]
    assert 0 < len(done) < 300
    assert set(Annotations(out)) == set(done)


def test_the_defaults_are_those_of_the_choice() -> None:
    command: Any = typer.main.get_command(app)
    defaults = {option.name: option.default for option in command.params}
    rules = [defaults[name] for name in ("person", "min_joints", "threshold")]
    assert PersonChoice(*rules) == PersonChoice()
    assert defaults["detector"] == AUTO


def test_previews_need_a_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = detect(photos, "--preview", tmp_path / "file")
    assert result.exit_code == 2
    assert "cannot hold previews, because it is a file" in result.stderr


def test_movenet_is_the_default_without_openpifpaf(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    out = photos.parent / "keypoints.csv"
    result = dptn("detect-poses", photos, "-o", out, "--json", "--download-weights")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["detector"], document["checkpoint"]) == ("movenet", "")
    assert document["counts"]["done"] == 3
    assert {line["detector"] for line in record(photos.parent)} == {"movenet"}
    said = dptn("detect-poses", photos, "-o", out, "--download-weights", "--batch-size", 4).stderr
    assert "--download-weights has no effect" in said
    assert "--batch-size has no effect" in said


def test_a_named_detector_looks_again_and_auto_does_not(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(photos.parent))
    out = ("-o", photos.parent / "keypoints.csv", "--json")
    for detector, done in ((SHIPPED, 3), ("auto", 0), ("movenet", 3), (SHIPPED, 3)):
        result = dptn("detect-poses", photos, "--detector", detector, *out)
        assert json.loads(result.stdout)["counts"]["done"] == done, detector


def test_other_rules_look_again(photos: Path) -> None:
    out = ("-o", photos.parent / "keypoints.csv", "--detector", "movenet", "--json")
    cases = (((), 3), (("--threshold", 0.25), 0), (("--threshold", 0.2), 3), ((), 3))
    for more, done in cases:
        result = dptn("detect-poses", photos, *out, *more)
        assert json.loads(result.stdout)["counts"]["done"] == done, more


def test_the_option_of_older_versions_still_works(photos: Path) -> None:
    out = photos.parent / "keypoints.csv"
    result = dptn("detect-poses", photos, "--checkpoint", SHIPPED, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert {line["detector"] for line in record(photos.parent)} == {str(SHIPPED)}
    assert "--checkpoint" not in dptn("detect-poses", "--help").stdout


def test_previews_among_the_photos_are_told(photos: Path, tmp_path: Path) -> None:
    """Other commands would take them for photos."""
    inside = detect(photos, "--preview", photos / "skeletons", "--detector", "movenet")
    assert inside.exit_code == 0
    assert "skeletons is in" in inside.stderr
    again = detect(
        photos, "--preview", tmp_path / "skeletons", "--overwrite", "--detector", "movenet"
    )
    assert "other commands will take the previews" not in again.stderr


def test_both_names_of_the_detector_are_refused_together(photos: Path) -> None:
    result = detect(photos, "--checkpoint", "resnet50")
    assert result.exit_code == 2
    assert "--checkpoint is the old name of --detector" in result.stderr


def test_a_dry_run_downloads_nothing(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(photos.parent / "hub"))
    out = ("-o", photos.parent / "k.csv", "--detector", "openpifpaf")
    result = dptn("detect-poses", photos, *out, "--download-weights", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "The run would download https://" in result.stderr
    assert not (photos.parent / "hub").exists()
