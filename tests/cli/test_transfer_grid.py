"""`dptn transfer --grid`: contact sheets of what is there."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from stances import stance, without
from support import TINY_SPEC, Folder, dptn, draw_image, make_folder, write_annotations

from dptn_cli.enums import Fit
from dptn_cli.evaluate.pairing import list_images
from dptn_cli.io.resize import crop_and_resize
from dptn_cli.keypoints import crop_for
from dptn_cli.visualize.contact_sheet import CAPTION_HEIGHT, GAP, GROUP_GAP

HEIGHT, WIDTH = TINY_SPEC.image_size


def page(folder: Folder, number: int = 1) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(folder.out / "grids" / f"page-{number:05}.png"))


def cell(sheet: npt.NDArray[np.uint8], item: int, column: int) -> npt.NDArray[np.uint8]:
    top = CAPTION_HEIGHT + item // 4 * (HEIGHT + GAP + CAPTION_HEIGHT)
    left = GAP + (item % 4 * 4 + column) * (WIDTH + GAP) + item % 4 * GROUP_GAP
    return sheet[top : top + HEIGHT, left : left + WIDTH]


def image(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_source_pose_result_and_target_stand_side_by_side(folder: Folder) -> None:
    result = folder.transfer("--grid")
    assert result.exit_code == 0, result.stderr
    assert "1 contact sheet in" in result.stderr
    sheet = page(folder)
    for item, (source, target) in enumerate([(0, 1), (0, 2), (0, 3), (1, 0), (1, 2)]):
        assert np.array_equal(cell(sheet, item, 0), image(folder.path / f"{source}.png"))
        made = image(folder.out / f"{source}_2_{target}_vis.png")
        assert np.array_equal(cell(sheet, item, 2), made)
        assert np.array_equal(cell(sheet, item, 3), image(folder.path / f"{target}.png"))
        pose = cell(sheet, item, 1)
        assert (pose == 0).all(axis=2).mean() > 0.3
        assert (pose.max(axis=2) > 200).any()


def test_pages_of_32_and_none_of_an_earlier_longer_list(tmp_path: Path, tiny_model: Path) -> None:
    folder = make_folder(tmp_path / "photos", tiny_model, count=7)  # 42 pairs
    assert folder.transfer("--grid", "--json").exit_code == 0
    assert page(folder, 1).shape[0] == 8 * (HEIGHT + GAP + CAPTION_HEIGHT) + CAPTION_HEIGHT + GAP
    assert page(folder, 2).shape[0] == 3 * (HEIGHT + GAP + CAPTION_HEIGHT) + CAPTION_HEIGHT + GAP
    assert folder.transfer("--grid", "--limit", 3).exit_code == 0
    assert [path.name for path in (folder.out / "grids").iterdir()] == ["page-00001.png"]


def test_what_failed_and_what_is_gone_is_left_out(folder: Folder) -> None:
    assert folder.transfer().exit_code == 0
    (folder.path / "0.png").write_bytes(b"no image any more")
    (folder.path / "1.png").unlink()
    assert folder.transfer("--grid").exit_code == 1
    sheet = page(folder)
    assert sheet.shape[0] == 2 * (HEIGHT + GAP + CAPTION_HEIGHT) + CAPTION_HEIGHT + GAP
    assert np.array_equal(cell(sheet, 0, 2), image(folder.out / "2_2_0_vis.png"))
    assert (cell(sheet, 0, 3) == 255).all(), "the target image cannot be read"
    assert np.array_equal(cell(sheet, 2, 3), image(folder.path / "3.png"))


@pytest.mark.parametrize("joints", [18, 2])
def test_targets_are_cropped_to_their_person(folder: Folder, tmp_path: Path, joints: int) -> None:
    """With --retarget scale the target image has no place in the frame.

    It is shown whole if there are too few joints to crop around.
    """
    poses = tmp_path / "poses"
    poses.mkdir()
    image = draw_image(5, (HEIGHT, 4 * WIDTH))
    image.save(poses / "wide.png")
    pose = stance("standing", scale=HEIGHT / 420, top=HEIGHT / 4, left=2.7 * WIDTH)
    kept = range(18) if joints == 18 else (2, 3)
    shown_pose = without(pose, [joint for joint in range(18) if joint not in kept])
    write_annotations(poses / "keypoints.csv", {"wide.png": shown_pose})
    result = dptn("transfer", folder.path / "0.png", "--poses", poses, "--model", folder.model,
                  "-o", folder.out, "--grid")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    sheet = page(folder)
    left = GAP + 3 * (WIDTH + GAP)
    shown = sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + HEIGHT, left : left + WIDTH]
    crop = crop_for(pose, (HEIGHT, WIDTH), (HEIGHT, 4 * WIDTH), Fit.PERSON)
    assert crop is not None
    assert crop.left > WIDTH
    is_cropped = np.array_equal(shown, crop_and_resize(image, crop, (HEIGHT, WIDTH)))
    assert is_cropped == (joints == 18)
    borders = shown[[0, 5, -5, -1]].reshape(-1, 3)
    assert bool((borders == borders[0]).all()) == (joints < 18), "padded above and below"


def test_a_full_disk_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dptn_cli.io.files.write_atomic", full)
    result = folder.transfer("--grid")
    assert result.exit_code == 1
    assert "page-00001.png: cannot be written: No space left on device" in result.stderr
    assert len(folder.results()) == 12


def test_several_people_in_a_pose_file_are_told(folder: Folder) -> None:
    people = [{"keypoints": [size * (i % 5) for i in range(51)]} for size in (2, 9)]
    (folder.path / "keypoints.csv").unlink()
    for name in "0123":
        (folder.path / f"{name}.png.predictions.json").write_text(json.dumps(people))
    result = folder.transfer("--keypoints", folder.path, "--dry-run")
    assert "4 images show several people, and the largest is taken: 0.png (2)" in result.stderr


def test_contact_sheets_are_no_results_to_evaluate(folder: Folder) -> None:
    assert folder.transfer("--grid").exit_code == 0
    assert len(list_images(folder.out)) == 12
