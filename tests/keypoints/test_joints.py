"""The joint order, mirrored poses, and COCO's joints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dptn_cli.keypoints import COCO_NAMES, JOINT_NAMES, MIRRORED, from_coco, mirror_pose, to_coco
from dptn_cli.types import Pose

COCO_SHOULDERS = (COCO_NAMES.index("right shoulder"), COCO_NAMES.index("left shoulder"))


def test_joints_are_in_openpose_order() -> None:
    assert len(set(JOINT_NAMES)) == 18
    assert (JOINT_NAMES[0], JOINT_NAMES[4], JOINT_NAMES[17]) == ("nose", "right wrist", "left ear")


@given(arrays(np.float64, (18, 2), elements=st.integers(-1, 175)))
def test_a_mirror_swaps_sides_and_undoes_itself(pose: Pose) -> None:
    pose[(pose == -1).any(axis=1)] = -1
    mirrored = mirror_pose(pose, 176)
    left_wrist, right_wrist = 7, 4
    if pose[left_wrist, 0] != -1:
        y, x = pose[left_wrist]
        assert tuple(mirrored[right_wrist]) == (y, 175 - x)
    assert np.array_equal(mirror_pose(mirrored, 176), pose)


def coco_joints() -> Pose:
    """(17, 3): joint i is at x = 10 + i, y = 100.25 + i, fully seen."""
    i = np.arange(17.0)
    return np.stack([10 + i, 100.25 + i, np.ones(17)], axis=1)


def test_every_coco_joint_keeps_its_name_and_side() -> None:
    pose, confidence = from_coco(coco_joints())
    for i, name in enumerate(COCO_NAMES):
        assert pose[JOINT_NAMES.index(name)].tolist() == [100.25 + i, 10 + i]
    assert (confidence == 1).all()
    assert set(JOINT_NAMES) - set(COCO_NAMES) == {"neck"}


def test_the_neck_is_the_middle_of_the_shoulders() -> None:
    joints = coco_joints()
    joints[COCO_SHOULDERS, :] = [[10, 50, 0.9], [31, 54, 0.5]]
    pose, confidence = from_coco(joints)
    assert pose[1].tolist() == [52, 20.5]
    assert confidence[1] == 0.5


@pytest.mark.parametrize("shoulder", COCO_SHOULDERS)
def test_no_neck_without_both_shoulders(shoulder: int) -> None:
    joints = coco_joints()
    joints[shoulder, 2] = 0
    pose, confidence = from_coco(joints)
    assert pose[1].tolist() == [-1, -1]
    assert (pose == -1).all(axis=1).sum() == 2
    assert (confidence == 0).sum() == 2


def test_flags_and_confidences() -> None:
    joints = coco_joints()
    joints[:4, 2] = [0, 1, 2, 0.4]
    pose, confidence = from_coco(joints, min_confidence=0.5)
    nose, left_eye, right_eye, left_ear = (JOINT_NAMES.index(name) for name in COCO_NAMES[:4])
    assert confidence[[nose, left_eye, right_eye, left_ear]].tolist() == [0, 1, 1, 0]
    assert (pose[[nose, left_ear]] == -1).all()
    assert from_coco(joints)[1][left_ear] == 0.4


@given(
    arrays(np.float64, (17, 2), elements=st.floats(0, 5000)),
    arrays(np.float64, 17, elements=st.sampled_from([0.0, 0.25, 1.0])),
)
def test_coco_and_back(joints_xy: Pose, confidence: Pose) -> None:
    joints = np.column_stack([np.where(confidence[:, None] == 0, 0, joints_xy), confidence])
    assert np.array_equal(to_coco(*from_coco(joints)), joints)


def test_a_flipped_image_gives_flipped_joints() -> None:
    """In a mirror, a detector sees left for right, at mirrored coordinates."""
    width, joints = 64, coco_joints()
    sides = {name: name.replace("left", "?").replace("right", "left").replace("?", "right")
             for name in COCO_NAMES}  # fmt: skip
    flipped = joints[[COCO_NAMES.index(sides[name]) for name in COCO_NAMES]]
    flipped[:, 0] = width - 1 - flipped[:, 0]
    np.testing.assert_allclose(from_coco(flipped)[0], mirror_pose(from_coco(joints)[0], width))
    for i, name in enumerate(JOINT_NAMES):
        assert JOINT_NAMES[MIRRORED[i]] == sides.get(name, name)
