"""`dptn transfer` on photos of any size, with poses from other crops, by the shipped model."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from stances import inside, stance, without
from support import LINE_TIME, dptn, write_annotations

from dptn_cli.enums import FramingWarning, PoseFormat
from dptn_cli.keypoints import Annotations, person_crop, write_poses
from dptn_cli.metrics.ssim import ssim_standard
from dptn_cli.types import FoundPose, Pose

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "examples" / "figures"
MODEL = ROOT / "models" / "figures.onnx"
KNOWN = Annotations(FIGURES / "keypoints.csv")
SIZE = (128, 88)


def moved(pose: Pose, scale: float, down: float, across: float) -> Pose:
    there = (pose != -1).all(axis=1, keepdims=True)
    return np.where(there, (pose + 0.5) * scale - 0.5 + (down, across), -1)


def write(path: Path, poses: dict[str, Pose], size: tuple[int, int]) -> Path:
    seen = {name: (pose != -1).all(axis=1).astype(float) for name, pose in poses.items()}
    found = [FoundPose(name, pose, seen[name], size) for name, pose in poses.items()]
    write_poses(path, found, PoseFormat.COCO)
    return path


def result(folder: Path, sources: Path, poses: Path, *more: object) -> npt.NDArray[np.uint8]:
    """The one image that a transfer makes."""
    made = dptn("transfer", sources, "--poses", poses, "--model", MODEL, "-o", folder, *more)
    assert made.exit_code == 0, made.stderr
    (path,) = folder.glob("*_vis.png")
    return np.asarray(Image.open(path))


def test_a_figure_in_a_landscape_photo_is_as_good_as_its_exact_crop(tmp_path: Path) -> None:
    pose = moved(KNOWN["p0001_0.png"], 7, 200, 300)
    photo = Image.new("RGB", (1600, 1200), "white")
    figure = Image.open(FIGURES / "images" / "p0001_0.png").convert("RGB")
    photo.paste(figure.resize((88 * 7, 128 * 7), Image.Resampling.BICUBIC), (300, 200))
    target = write(tmp_path / "target.json", {"there.png": KNOWN["p0001_2.png"]}, SIZE)

    landscape = tmp_path / "landscape"
    landscape.mkdir()
    photo.save(landscape / "photo.png")
    keypoints = write(tmp_path / "photo.json", {"photo.png": pose}, (1200, 1600))
    fitted = result(tmp_path / "fitted", landscape, target, "--keypoints", keypoints,
                    "--fit", "person")  # fmt: skip

    box = person_crop(pose, SIZE)
    edges = (box.left, box.top, box.left + box.width, box.top + box.height)
    left, top, right, bottom = map(round, edges)
    exact = tmp_path / "exact"
    exact.mkdir()
    photo.crop((left, top, right, bottom)).save(exact / "photo.png")
    cropped = moved(pose, 1, -top, -left)
    keypoints = write(tmp_path / "exact.json", {"photo.png": cropped}, (bottom - top, right - left))
    stretched = result(tmp_path / "stretched", exact, target, "--keypoints", keypoints,
                       "--fit", "stretch")  # fmt: skip
    assert ssim_standard(fitted, stretched) >= 0.95
    whole = result(tmp_path / "whole", landscape, target, "--keypoints", tmp_path / "photo.json",
                   "--fit", "stretch")  # fmt: skip
    assert ssim_standard(whole, stretched) < 0.9, "a test that any crop would pass"


def test_a_pose_drawn_at_half_the_size_gives_the_same_image(tmp_path: Path) -> None:
    sources = FIGURES / "images" / "p0000_0.png"
    poses = {"full": KNOWN["p0001_2.png"], "half": moved(KNOWN["p0001_2.png"], 0.5, 30, 5)}
    made = {
        (name, retarget): result(
            tmp_path / f"{name}-{retarget}", sources,
            write(tmp_path / f"{name}.json", {"pose.png": pose}, SIZE), "--retarget", retarget,
            "--keypoints", FIGURES / "keypoints.csv",
        )
        for name, pose in poses.items()
        for retarget in ("scale", "none")
    }  # fmt: skip
    assert ssim_standard(made["full", "scale"], made["half", "scale"]) >= 0.98
    assert ssim_standard(made["full", "none"], made["half", "none"]) < 0.9, (
        "nothing was to be made good"
    )
    assert ssim_standard(made["full", "scale"], made["full", "none"]) > 0.7


def test_odd_images_fail_by_themselves_and_harm_no_other(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    sizes = {"dot": (1, 1), "line": (20_000, 1), "flat": (1, 20_000), "huge": (10_001, 10_000)}
    poses = {}
    for name, (height, width) in sizes.items():
        Image.new("1", (width, height)).save(photos / f"{name}.png")
        scale = max(height, width, 128) / 128
        poses[f"{name}.png"] = moved(KNOWN["p0001_0.png"], scale, 0, 0).clip(-1, None)
    Image.open(FIGURES / "images" / "p0001_0.png").save(photos / "good.png")
    poses["good.png"] = KNOWN["p0001_0.png"]
    keypoints = write_annotations(tmp_path / "keypoints.csv", poses)
    target = write(tmp_path / "target.json", {"there.png": KNOWN["p0001_2.png"]}, SIZE)
    for fit in ("auto", "pad", "stretch"):
        out = tmp_path / fit
        made = dptn("transfer", photos, "--poses", target, "--keypoints", keypoints,
                    "--model", MODEL, "-o", out, "--fit", fit)  # fmt: skip
        assert made.exit_code == 1, made.stderr
        ended = {line["source"]: line for line in map(json.loads, (out / "manifest.jsonl").open())}
        assert ended.keys() == {*(f"{name}.png" for name in sizes), "good.png"}
        assert ended["good.png"]["status"] == "done"
        assert ended["huge.png"]["reason"].startswith("more than 100,000,000 pixels: it has")
        reasons = {line["reason"] for line in ended.values() if line["status"] == "failed"}
        assert all(reasons)


def test_who_cannot_be_framed_well_is_generated_and_told(tmp_path: Path) -> None:
    """In the summary, the manifest and `run.json`; exit code 0; a second run only in the latter."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    poses = {
        "half.png": inside(stance("standing", top=120, left=400), 300, 800),
        "lying.png": stance("lying", top=140, left=150),
        "whole.png": stance("standing", top=120, left=400),
    }
    sizes = {"half.png": (300, 800), "lying.png": (280, 800), "whole.png": (500, 800)}
    for name, (height, width) in sizes.items():
        Image.new("RGB", (width, height), "gray").save(photos / name)
    keypoints = write_annotations(tmp_path / "k.csv", poses)
    pose = write_annotations(tmp_path / "standing.csv", {"standing.png": poses["whole.png"]})
    command = ("transfer", photos, "--poses", pose, "--keypoints", keypoints, "--model", MODEL,
               "-o", out)  # fmt: skip
    expected = {
        "half_2_standing_vis.png": [FramingWarning.NO_LEGS],
        "lying_2_standing_vis.png": [FramingWarning.SOURCE_LYING, FramingWarning.SOURCE_FILLED],
        "whole_2_standing_vis.png": [],
    }
    counts = {str(warning): 1 for warnings in expected.values() for warning in warnings}
    dry = dptn(*command, "--dry-run", "--json")
    assert json.loads(dry.stdout)["warnings"] == counts
    made = dptn(*command)
    assert made.exit_code == 0, made.stderr
    said = LINE_TIME.sub("", made.stderr)
    assert f"1 image may look wrong: {FramingWarning.NO_LEGS}: half_2_standing_vis.png\n" in said
    lines = map(json.loads, (out / "manifest.jsonl").open())
    reasons = {line["output"]: line["reason"] for line in lines}
    assert reasons == {name: "; ".join(warnings) for name, warnings in expected.items()}
    assert json.loads((out / "run.json").read_text())["warnings"] == counts
    assert len(list(out.glob("*_vis.png"))) == 3
    again = dptn(*command)
    assert again.exit_code == 0
    assert "may look wrong" not in again.stderr
    assert json.loads((out / "run.json").read_text())["warnings"] == counts


def test_the_source_is_named_if_its_pose_is_at_fault(tmp_path: Path) -> None:
    Image.new("RGB", (800, 500), "gray").save(tmp_path / "photo.png")
    head = without(stance("standing", top=120, left=400), list(range(1, 14)))
    keypoints = write_annotations(tmp_path / "k.csv", {"photo.png": head})
    whole = {"standing.png": stance("standing", top=120, left=400)}
    pose = write_annotations(tmp_path / "standing.csv", whole)
    made = dptn("transfer", tmp_path / "photo.png", "--poses", pose, "--keypoints", keypoints,
                "--model", MODEL, "-o", tmp_path / "out")  # fmt: skip
    assert made.exit_code == 1
    assert "photo.png: no limb of the source pose has both of its joints" in made.stderr


def test_the_target_is_named_if_its_pose_is_at_fault(tmp_path: Path) -> None:
    Image.new("RGB", (800, 500), "gray").save(tmp_path / "photo.png")
    whole = stance("standing", top=120, left=400)
    keypoints = write_annotations(tmp_path / "k.csv", {"photo.png": whole})
    head = {"head.png": without(whole, list(range(1, 14)))}
    pose = write_annotations(tmp_path / "head.csv", head)
    made = dptn("transfer", tmp_path / "photo.png", "--poses", pose, "--keypoints", keypoints,
                "--model", MODEL, "-o", tmp_path / "out")  # fmt: skip
    assert made.exit_code == 1
    assert "head.png: no limb of the target pose has both of its joints" in made.stderr
