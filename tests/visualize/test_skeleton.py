"""Drawn skeletons."""

import numpy as np

from dptn_cli.visualize.skeleton import COLOURS, draw_pose, draw_pose_over


def test_joints_are_where_the_pose_says() -> None:
    pose = np.full((18, 2), -1.0)
    pose[4], pose[7] = (20, 10), (60, 50)
    drawn = draw_pose(pose, (80, 64))
    assert tuple(drawn[20, 10]) == COLOURS[4]
    assert tuple(drawn[60, 50]) == COLOURS[7]
    assert not drawn[40, 30].any(), "two joints that no limb connects"


def test_a_limb_joins_its_joints() -> None:
    pose = np.full((18, 2), -1.0)
    pose[2], pose[3] = (20, 10), (60, 10)
    assert draw_pose(pose, (80, 64))[40, 10].any()


def test_a_missing_pose_leaves_the_image_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    assert np.array_equal(draw_pose_over(image, np.full((18, 2), -1.0)), image)


def test_joints_far_outside_are_no_error() -> None:
    pose = np.full((18, 2), 1e6)
    assert draw_pose(pose, (40, 30)).shape == (40, 30, 3)
