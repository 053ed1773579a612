"""Keypoints whose file states another image size than the image has."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.keypoints import pose_on_image
from dptn_cli.types import Pose

SIDES = st.integers(40, 4000)


def standing(size: tuple[int, int]) -> Pose:
    """Someone upright who fills an image; the nose is missing."""
    random = np.random.default_rng(0)
    pose = random.uniform(0.1, 0.9, (18, 2)) * size
    pose[1] = (0.2 * size[0], 0.5 * size[1])
    pose[[8, 11]] = (0.6 * size[0], 0.5 * size[1])
    pose[0] = -1
    return pose


@given(height=SIDES, width=SIDES, factor=st.floats(0.1, 10))
def test_the_pose_of_a_resized_image_is_scaled(height: int, width: int, factor: float) -> None:
    stated, size = (height, width), (round(height * factor), round(width * factor))
    assume(min(size) >= 20)
    pose = standing(stated)
    scaled = pose_on_image(pose, stated, size)
    assert (scaled[0] == -1).all()
    shares = (scaled[1:] + 0.5) / size
    np.testing.assert_allclose(shares, (pose[1:] + 0.5) / stated, atol=0.001)


@given(height=SIDES, width=SIDES)
def test_nothing_changes_without_another_size(height: int, width: int) -> None:
    pose = standing((height, width))
    assert pose_on_image(pose, None, (height, width)) is pose
    assert pose_on_image(pose, (height, width), (height, width)) is pose


@pytest.mark.parametrize(
    ("stated", "size"), [((256, 256), (256, 176)), ((1000, 500), (500, 500)), ((64, 64), (60, 70))]
)
def test_a_crop_or_another_image_is_refused_with_both_sizes(
    stated: tuple[int, int], size: tuple[int, int]
) -> None:
    with pytest.raises(InputError) as raised:
        pose_on_image(standing(stated), stated, size)
    for height, width in (stated, size):
        assert f"{width}x{height}" in str(raised.value)


def test_the_size_of_the_unturned_image_is_understood_if_the_person_is_upright() -> None:
    size = (400, 300)
    pose = standing(size)
    assert pose_on_image(pose, size[::-1], size) is pose
    half = pose_on_image(pose, size[::-1], (200, 150))
    np.testing.assert_allclose(half[1:] + 0.5, (pose[1:] + 0.5) / 2, atol=0.001)
    lying = standing(size[::-1])[:, ::-1]
    with pytest.raises(InputError, match="400x300 pixels, but the image has 300x400"):
        pose_on_image(lying[:, ::-1][:, ::-1], size[::-1], size)
