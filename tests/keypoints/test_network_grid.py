"""Poses on the network's grid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dptn_cli.keypoints import joints_in_image, to_network
from dptn_cli.types import Pose


@given(
    pose=arrays(np.float64, (18, 2), elements=st.floats(-500, 500)),
    height=st.integers(16, 2000),
    width=st.integers(16, 2000),
)
def test_scaling_keeps_the_whole_pixel(pose: Pose, height: int, width: int) -> None:
    """float32 must not carry a coordinate into the next pixel, nor make a joint look missing."""
    scaled = to_network(pose, (height, width), (256, 256))
    exact = pose * 256.0 / np.array([height, width])
    missing = (pose == -1).any(axis=1)
    assert (scaled[missing] == -1).all()
    assert np.array_equal(np.trunc(scaled[~missing]), np.trunc(exact[~missing]))
    assert not (scaled[~missing] == -1).all(axis=1).any()


def test_scaling_is_the_published_formula() -> None:
    pose = np.stack([np.arange(18.0), np.arange(18.0) * 9], axis=1)
    scaled = np.trunc(to_network(pose, (256, 176), (256, 256)))
    assert scaled[:, 0].tolist() == [float(y) for y in range(18)]
    assert scaled[1:, 1].tolist() == [float(int(x * 9 * 256 / 176)) for x in range(1, 18)]


def test_joints_in_image_are_counted() -> None:
    pose = np.full((18, 2), -1.0)
    pose[:4] = [[0, 0], [9.5, 19.5], [10, 5], [5, 20]]
    assert joints_in_image(pose, (10, 20)) == 2
