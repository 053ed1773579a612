"""What the page generates is what `dptn transfer` makes of what it saves."""

import json
import shlex
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import FIGURES, FIGURES_MODEL, PEOPLE, dptn, read_pixels, write_annotations

from dptn_cli.enums import Fit, Provider, Retarget
from dptn_cli.errors import InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.keypoints import Annotations, PoseFiles
from dptn_cli.pose_editor.editor import (
    MAX_POSES,
    NamedPose,
    PoseEditor,
    from_joints,
    to_joints,
)
from dptn_cli.pose_editor.presets import read_presets
from dptn_cli.types import JOINTS, MISSING, Pose

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
def test_a_saved_pose_gives_the_picture_that_was_shown(
    editor: PoseEditor, retarget: Retarget, tmp_path: Path
) -> None:
    pose = from_joints(to_joints(editor.place(NamedPose("walk", POSES[TARGET]))))
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
    placed = editor.place(NamedPose("own", pose, (128, 88)))
    np.testing.assert_allclose(placed, editor.source_pose, atol=0.02)
    for preset in read_presets():
        joints = editor.place(preset)
        present = joints[(joints != MISSING).all(axis=1)]
        assert ((present > (20, 140)) & (present < (300, 350))).all(), preset.name


def test_presets_are_poses_of_the_example() -> None:
    poses = Annotations(PEOPLE / "keypoints.csv")
    presets = read_presets()
    assert len({preset.name for preset in presets}) == len(presets) >= 8
    for preset in presets:
        assert any(np.array_equal(preset.pose, pose) for pose in poses.values()), preset.name


@given(
    st.lists(
        st.none() | st.tuples(*[st.floats(-1e5, 1e5)] * 2).map(list),
        min_size=JOINTS,
        max_size=JOINTS,
    )
)
def test_poses_of_the_page(joints: list[list[float] | None]) -> None:
    pose = from_joints(joints)
    again = to_joints(pose)
    assert [joint is None for joint in again] == [joint is None for joint in joints]
    for joint, read in zip(joints, again, strict=True):
        if joint is not None and read is not None:
            np.testing.assert_allclose(read, joint, atol=2e-3)
    np.testing.assert_array_equal(from_joints(again), pose)


@pytest.mark.parametrize(
    "joints",
    [None, {}, [], [[1, 2]] * 17, [[1]] * 18, [[1, 2, 3]] * 18, [["a", 2]] * 18, [[1, 1e300]] * 18,
     [[float("nan"), 1]] * 18, [[10**400, 1]] * 18, [["1e999", 1]] * 18, [[[1], 2]] * 18, [7] * 18],
)  # fmt: skip
def test_what_is_no_pose(joints: object) -> None:
    with pytest.raises(InputError):
        from_joints(joints)


class TestFiles:
    def read(self, editor: PoseEditor, name: str, text: str) -> tuple[NamedPose, ...]:
        return editor.read_poses(name, text.encode()).poses

    def test_every_format_is_read(self, editor: PoseEditor, tmp_path: Path) -> None:
        (named,) = self.read(editor, "wave_keypoints.json", self.openpose(POSES[TARGET]))
        np.testing.assert_allclose(named.pose, POSES[TARGET], atol=1e-3)
        many = self.read(editor, "k.csv", (FIGURES / "keypoints.csv").read_text())
        assert len(many) == len(POSES) < MAX_POSES

    def openpose(self, pose: Pose) -> str:
        triples = [(0, 0, 0) if (yx == MISSING).any() else (yx[1], yx[0], 1) for yx in pose]
        flat = [float(value) for triple in triples for value in triple]
        return json.dumps({"people": [{"pose_keypoints_2d": flat}]})

    @pytest.mark.parametrize(
        "name",
        ["../../evil.json", "/etc/passwd.json", "..\\a.json", "a\0.json", "." * 300 + ".json"],
    )
    def test_no_name_leaves_the_temporary_folder(
        self, editor: PoseEditor, name: str, tmp_path: Path
    ) -> None:
        before = set(tmp_path.parent.rglob("*"))
        (named,) = self.read(editor, name, self.openpose(POSES[TARGET]))
        np.testing.assert_allclose(named.pose, POSES[TARGET], atol=1e-3)
        assert set(tmp_path.parent.rglob("*")) == before
        assert not Path("/etc/passwd.json").exists()
        with pytest.raises(InputError) as error:
            self.read(editor, name, "{}")
        assert tempfile.gettempdir() not in str(error.value)

    def test_broken_entries_are_counted(self, editor: PoseEditor) -> None:
        lines = (FIGURES / "keypoints.csv").read_text().splitlines()
        lines[2] = lines[2].rpartition(":")[0] + ": [1, 2]"
        loaded = editor.read_poses("k.csv", "\n".join(lines).encode())
        assert (len(loaded.poses), loaded.broken) == (len(POSES) - 1, 1)

    @pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"people": []}', "\0", "a,b\n1,2\n"])
    def test_files_without_poses_are_named(self, editor: PoseEditor, text: str) -> None:
        with pytest.raises(InputError, match=r"notes\.json"):
            self.read(editor, "notes.json", text)
