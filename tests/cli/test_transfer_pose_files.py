"""`dptn transfer` with pose files whose names, sizes and entries do not fit the images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Folder, dptn, draw_image, draw_pose, make_folder, write_pairs

from dptn_cli.keypoints import to_coco
from dptn_cli.types import Pose, Size

SIZE = (64, 40)


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Folder:
    """Two images without a `keypoints.csv`, and the pair of them."""
    made = make_folder(tmp_path / "images", tiny_model, count=2)
    (made.path / "keypoints.csv").unlink()
    write_pairs(made.pairs, [("0.png", "1.png")])
    return made


def pose_of(seed: int) -> Pose:
    """A pose without a neck of its own, which COCO has to compute."""
    pose = draw_pose(seed).astype(float)
    pose[1] = (pose[2] + pose[5]) / 2 if (pose[[2, 5]] != -1).all() else -1
    return pose


def write_coco(
    path: Path, names: list[str], size: Size | None = SIZE, scale: float = 1, **more: Any
) -> Path:
    images, annotations = [], []
    for i, name in enumerate(names):
        pose = pose_of(i)
        joints = to_coco(pose, (pose != -1).all(axis=1).astype(float))
        joints[:, :2] = (joints[:, :2] + 0.5) * scale - 0.5
        joints[joints[:, 2] == 0] = 0
        sides = {"height": size[0], "width": size[1]} if size else {}
        images.append({"id": i, "file_name": name, **sides})
        annotations.append({"image_id": i, "keypoints": joints.ravel().tolist()})
    path.write_text(json.dumps({"images": images, "annotations": annotations, **more}))
    return path


def the_result(folder: Folder, keypoints: Path, *more: object) -> np.ndarray[Any, Any]:
    made = folder.transfer("--keypoints", keypoints, "--overwrite", *more)
    assert made.exit_code == 0, made.stderr
    (content,) = folder.results().values()
    return np.frombuffer(content, np.uint8)


@pytest.mark.parametrize(
    "names",
    [
        ["0.jpg", "1.jpg"],
        ["images\\0.png", "images\\1.png"],
        ["/data/0.png", "/data/1.png"],
        ["C:\\x\\0.png", "C:\\x\\1.png"],
        ["./0.webp", "./1.webp"],
        ["000000000000", "000000000001"],
    ],
)
def test_poses_are_found_however_their_images_are_spelled(
    folder: Folder, tmp_path: Path, names: list[str]
) -> None:
    right = the_result(folder, write_coco(tmp_path / "right.json", ["0.png", "1.png"]))
    got = the_result(folder, write_coco(tmp_path / "spelled.json", names))
    assert np.array_equal(got, right)


def test_an_entry_of_another_name_is_used_and_that_is_said(folder: Folder, tmp_path: Path) -> None:
    made = folder.transfer("--keypoints", write_coco(tmp_path / "k.json", ["x/0.jpg", "1.png"]))
    assert "k.json: matched to images with other names (1)" in made.stderr
    assert "for example, x/0.jpg to 0.png" in made.stderr


def test_an_entry_without_a_suffix_for_two_images_is_said(folder: Folder, tmp_path: Path) -> None:
    draw_image(2).save(folder.path / "0.jpg")
    pairs = [("0.png", "1.png", "a"), ("0.jpg", "1.png", "b")]
    write_pairs(folder.pairs, pairs, "from,to,out")
    made = folder.transfer("--keypoints", write_coco(tmp_path / "k.json", ["0", "1"]), "--dry-run")
    assert "k.json: used for both 0.png and 0.jpg" in made.stderr


def test_keypoints_for_no_image_are_an_error_with_an_example_of_both(
    folder: Folder, tmp_path: Path
) -> None:
    """Even if all the poses are known from elsewhere, or could be detected."""
    others = write_coco(tmp_path / "others.json", ["x/dora.png", "x/eve.png"])
    good = write_coco(tmp_path / "good.json", ["0.png", "1.png"])
    for more in ([], ["--keypoints", good]):
        made = folder.transfer("--keypoints", others, *more)
        assert made.exit_code == 2
        assert "others.json: its keypoints belong to no image of this job" in made.stderr
        assert "x/dora.png" in made.stderr
        assert "0.png" in made.stderr
        assert not folder.out.exists()
    limited = folder.transfer("--keypoints", others, "--keypoints", good, "--limit", 1)
    assert limited.exit_code == 0, "the rest of the list may need the file"


def test_every_pose_of_a_file_is_a_target_whatever_its_name(folder: Folder, tmp_path: Path) -> None:
    source = write_coco(tmp_path / "source.json", ["0.png"])
    poses = write_coco(tmp_path / "poses.json", ["/data/a\\walk.png", "sub/./sit.jpg"])
    made = dptn("transfer", folder.path / "0.png", "--poses", poses, "--keypoints", source,
                "--model", folder.model, "-o", folder.out)  # fmt: skip
    assert made.exit_code == 0, made.stderr
    assert set(folder.results()) == {"0_2_walk_vis.png", "0_2_sit_vis.png"}


def test_an_entry_that_names_an_image_of_the_poses_folder_is_no_second_target(
    folder: Folder, tmp_path: Path
) -> None:
    source = write_coco(tmp_path / "source.json", ["0.png"])
    poses = tmp_path / "poses"
    poses.mkdir()
    draw_image(1).save(poses / "walk.png")
    write_coco(poses / "k.json", ["images/walk.jpg"])
    made = dptn("transfer", folder.path / "0.png", "--poses", poses, "--keypoints", source,
                "--model", folder.model, "-o", folder.out)  # fmt: skip
    assert made.exit_code == 0, made.stderr
    assert list(folder.results()) == ["0_2_walk_vis.png"]


def test_images_of_a_poses_folder_do_not_take_each_others_entries(
    folder: Folder, tmp_path: Path
) -> None:
    """`sub/walk.png` comes first, and has no pose of its own."""
    source = write_coco(tmp_path / "source.json", ["0.png"])
    poses = tmp_path / "poses"
    (poses / "sub").mkdir(parents=True)
    for name in ("sub/walk.png", "walk.png"):
        draw_image(1).save(poses / name)
    write_coco(poses / "k.json", ["walk.png"])
    made = dptn("transfer", folder.path / "0.png", "--poses", poses, "--keypoints", source,
                "--model", folder.model, "-o", folder.out, "--dry-run")  # fmt: skip
    assert "may be those of" not in made.stderr
    assert "would both write 0_2_walk_vis.png" in made.stderr


def test_keypoints_of_a_larger_copy_are_scaled_and_that_is_said(
    folder: Folder, tmp_path: Path
) -> None:
    names = ["0.png", "1.png"]
    right = the_result(folder, write_coco(tmp_path / "right.json", names))
    double = write_coco(tmp_path / "double.json", names, (128, 80), 2)
    made = folder.transfer("--keypoints", double, "--overwrite")
    assert "0.png has 40x64 pixels, and 80x128 in the pose file" in made.stderr
    (content,) = folder.results().values()
    assert np.array_equal(np.frombuffer(content, np.uint8), right)


def test_keypoints_of_another_crop_fail_the_item_with_both_sizes(
    folder: Folder, tmp_path: Path
) -> None:
    keypoints = write_coco(tmp_path / "k.json", ["0.png", "1.png"], (64, 64))
    made = folder.transfer("--keypoints", keypoints)
    assert made.exit_code == 1
    (line,) = folder.manifest()
    assert "64x64 pixels, but the image has 40x64" in line["reason"]


def test_a_failure_of_the_target_names_the_target(folder: Folder, tmp_path: Path) -> None:
    draw_image(2).save(folder.path / "2.png")
    write_pairs(folder.pairs, [("0.png", "1.png"), ("2.png", "1.png")])
    sources = write_coco(tmp_path / "sources.json", ["0.png", "2.png"], SIZE)
    target = write_coco(tmp_path / "target.json", ["1.png"], (64, 64))
    made = folder.transfer("--keypoints", sources, "--keypoints", target, "--retarget", "none")
    assert made.exit_code == 1
    assert made.stderr.count("1.png: the pose file is for an image of 64x64") == 1
    assert "0.png: " not in made.stderr


def test_what_was_passed_over_is_said_once(folder: Folder, tmp_path: Path) -> None:
    keypoints = write_coco(tmp_path / "k.json", ["0.png", "1.png"])
    document = json.loads(keypoints.read_text())
    document["annotations"] += [{"image_id": 99, "keypoints": [1, 2, 2] * 17}] * 3
    keypoints.write_text(json.dumps(document))
    made = folder.transfer("--keypoints", keypoints)
    assert made.exit_code == 0
    assert made.stderr.count("k.json: passed over annotations of no image (3)") == 1
