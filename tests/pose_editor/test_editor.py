"""What the page generates is what `dptn transfer` makes of what it saves."""

import io
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import DATA, FIGURES, FIGURES_MODEL, dptn, read_pixels, write_annotations

from dptn_cli.enums import Fit, Provider, Retarget
from dptn_cli.errors import InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.keypoints import Annotations, PoseFiles
from dptn_cli.pose_editor.editor import PoseEditor
from dptn_cli.pose_editor.poses import from_joints, to_joints
from dptn_cli.pose_editor.presets import read_presets
from dptn_cli.types import MISSING

POSES = Annotations(FIGURES / "keypoints.csv")
SOURCE, TARGET = "p0000_0.png", "p0001_2.png"


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(read_model(FIGURES_MODEL), Provider.CPU)


@pytest.fixture
def editor(session: Session, tmp_path: Path) -> PoseEditor:
    """The editor of a figure that stands in a larger image."""
    image = Image.new("RGB", (400, 300), "white")
    figure = Image.open(FIGURES / "images" / SOURCE).convert("RGB")
    image.paste(figure.resize((figure.width * 2, figure.height * 2)), (150, 30))
    image.save(tmp_path / "photo.png")
    pose = POSES[SOURCE]
    moved = np.where(pose == MISSING, MISSING, (pose + 0.5) * 2 - 0.5 + (30, 150))
    return PoseEditor(
        tmp_path / "photo.png", moved, session.model.spec, session, tmp_path / "poses"
    )


@pytest.mark.parametrize("retarget", Retarget)
def test_a_saved_pose_gives_the_image_that_was_shown(
    editor: PoseEditor, retarget: Retarget, tmp_path: Path
) -> None:
    pose = from_joints(to_joints(editor.place(POSES[TARGET])))
    pose[4] += (-20.5, 7.25)
    pose[12] = MISSING
    png, elapsed_s = editor.generate(pose, retarget)
    assert elapsed_s > 0
    (tmp_path / "shown.png").write_bytes(png)
    saved = editor.save("walk", pose, retarget)
    write_annotations(tmp_path / "keypoints.csv", {"photo.png": editor.source_pose})
    command = shlex.split(saved.command)[1:-1]
    result = dptn(*command, tmp_path / "out", "--model", FIGURES_MODEL)
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "out").glob("*_vis.png")
    difference = read_pixels(path) - read_pixels(tmp_path / "shown.png")
    assert np.abs(difference).max() <= 1


def test_a_saved_pose_is_read_as_it_was_drawn(editor: PoseEditor, tmp_path: Path) -> None:
    pose = editor.source_pose.round(3)
    pose[4] = MISSING
    saved = editor.save("a pose (2)", pose, Retarget.SCALE)
    found = PoseFiles(saved.path).find("a pose (2).jpg")
    assert found is not None
    np.testing.assert_array_equal(found.pose, pose)
    assert found.image_size == editor.size
    csv = tmp_path / "one.csv"
    csv.write_text(f"name:keypoints_y:keypoints_x\n{saved.csv_line}\n")
    np.testing.assert_array_equal(Annotations(csv)["a pose (2).jpg"], pose)


def test_only_its_own_files_are_replaced(editor: PoseEditor, session: Session) -> None:
    first = editor.save("pose", editor.source_pose, Retarget.SCALE)
    moved = editor.source_pose + 1
    assert editor.save("pose", moved, Retarget.SCALE).path == first.path
    again = PoseEditor(editor.image, editor.source_pose, session.model.spec, session, editor.out)
    content = first.path.read_bytes()
    with pytest.raises(InputError, match=r"pose\.json is there already"):
        again.save("pose", editor.source_pose, Retarget.SCALE)
    assert first.path.read_bytes() == content
    assert again.free_name() == "pose 2"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "a\nb", "a\0b", "x" * 201, "文" * 67, "-o",
     "arm 1.1", "a.jpg", "a_keypoints", "a "],
)  # fmt: skip
def test_names_that_are_no_targets(editor: PoseEditor, name: str) -> None:
    with pytest.raises(InputError, match="a name has letters"):
        editor.save(name, editor.source_pose, Retarget.SCALE)
    assert not editor.out.exists()


def test_the_command_is_what_a_shell_needs(session: Session, tmp_path: Path) -> None:
    image = tmp_path / "it's a photo.png"
    shutil.copy(FIGURES / "images" / SOURCE, image)
    options = ("--model", "my model.onnx")
    editor = PoseEditor(
        image, POSES[SOURCE], session.model.spec, session, Path("results"), Fit.PAD, options
    )
    command = shlex.split(editor._command(Path("results/a b.json"), Retarget.NONE))
    assert command == [
        "dptn", "transfer", str(image), "--poses", "results/a b.json", *options,
        "--retarget", "none", "-o", "images/",
    ]  # fmt: skip


def test_nothing_is_made_after_the_end(editor: PoseEditor) -> None:
    editor.end()
    for make in (editor.generate, lambda *request: editor.save("pose", *request)):
        with pytest.raises(InputError, match="dptn pose has ended"):
            make(editor.source_pose, Retarget.SCALE)
    assert not editor.out.exists()


def test_a_pose_is_placed_on_the_person(editor: PoseEditor) -> None:
    """The person's own pose stays where it is, whatever image it comes from."""
    pose = POSES[SOURCE]
    placed = editor.place(pose)
    np.testing.assert_allclose(placed, editor.source_pose, atol=0.02)
    for preset in read_presets():
        joints = editor.place(preset.pose)
        present = joints[(joints != MISSING).all(axis=1)]
        assert ((present > (20, 140)) & (present < (300, 350))).all(), preset.name


def test_a_photo_that_lies_on_its_side(session: Session, tmp_path: Path) -> None:
    """An image with EXIF orientation 6 is shown and generated upright."""
    name, photos = "p010_exif6.jpg", DATA / "photos"
    pose = Annotations(photos / "keypoints.csv")[name]
    shutil.copy(photos / name, tmp_path)
    write_annotations(tmp_path / "keypoints.csv", {name: pose})
    out = tmp_path / "poses"
    editor = PoseEditor(tmp_path / name, pose, session.model.spec, session, out)
    shown = Image.open(io.BytesIO(editor.shown_image))
    assert shown.size == editor.size[::-1]
    assert shown.height > shown.width
    drawn = from_joints(to_joints(editor.place(POSES[TARGET])))
    png, _ = editor.generate(drawn, Retarget.SCALE)
    (tmp_path / "shown.png").write_bytes(png)
    saved = editor.save("walk", drawn, Retarget.SCALE)
    command = shlex.split(saved.command)[1:-1]
    result = dptn(*command, tmp_path / "out", "--model", FIGURES_MODEL)
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "out").glob("*_vis.png")
    assert np.abs(read_pixels(path) - read_pixels(tmp_path / "shown.png")).max() <= 1
