"""The poses of the page: as it sends them, those that it offers, and those of files."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import FIGURES, PEOPLE

from dptn_cli.errors import InputError
from dptn_cli.keypoints import Annotations
from dptn_cli.pose_editor.poses import (
    MAX_POSES,
    NamedPose,
    from_joints,
    read_pose_file,
    to_joints,
)
from dptn_cli.pose_editor.presets import read_presets
from dptn_cli.types import JOINTS, MISSING, Pose

POSES = Annotations(FIGURES / "keypoints.csv")
TARGET = "p0001_2.png"


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
    def read(self, name: str, text: str) -> tuple[NamedPose, ...]:
        return read_pose_file(name, text.encode()).poses

    def test_every_format_is_read(self, tmp_path: Path) -> None:
        (named,) = self.read("wave_keypoints.json", self.openpose(POSES[TARGET]))
        np.testing.assert_allclose(named.pose, POSES[TARGET], atol=1e-3)
        many = self.read("k.csv", (FIGURES / "keypoints.csv").read_text())
        assert len(many) == len(POSES) < MAX_POSES

    def openpose(self, pose: Pose) -> str:
        triples = [(0, 0, 0) if (yx == MISSING).any() else (yx[1], yx[0], 1) for yx in pose]
        flat = [float(value) for triple in triples for value in triple]
        return json.dumps({"people": [{"pose_keypoints_2d": flat}]})

    @pytest.mark.parametrize(
        "name",
        ["../../evil.json", "/etc/passwd.json", "..\\a.json", "a\0.json", "." * 300 + ".json"],
    )
    def test_no_name_leaves_the_temporary_folder(self, name: str, tmp_path: Path) -> None:
        before = set(tmp_path.parent.rglob("*"))
        (named,) = self.read(name, self.openpose(POSES[TARGET]))
        np.testing.assert_allclose(named.pose, POSES[TARGET], atol=1e-3)
        assert set(tmp_path.parent.rglob("*")) == before
        assert not Path("/etc/passwd.json").exists()
        with pytest.raises(InputError) as error:
            self.read(name, "{}")
        assert tempfile.gettempdir() not in str(error.value)

    def test_broken_entries_are_counted(self) -> None:
        lines = (FIGURES / "keypoints.csv").read_text().splitlines()
        lines[2] = lines[2].rpartition(":")[0] + ": [1, 2]"
        loaded = read_pose_file("k.csv", "\n".join(lines).encode())
        assert (len(loaded.poses), loaded.broken) == (len(POSES) - 1, 1)

    @pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"people": []}', "\0", "a,b\n1,2\n"])
    def test_files_without_poses_are_named(self, text: str) -> None:
        with pytest.raises(InputError, match=r"notes\.json"):
            self.read("notes.json", text)
