"""Poses on an image, and on the network's grid."""

import numpy as np
import numpy.typing as npt

from dptn_cli.types import MISSING, Pose, Size


def joints_in_image(pose: Pose, image_size: Size) -> int:
    """How many joints lie inside an image of this size."""
    return int(((pose >= 0) & (pose < np.array(image_size))).all(axis=1).sum())


def with_missing(pose: Pose, missing: npt.NDArray[np.bool_]) -> Pose:
    """The pose with -1 where `missing` (18,) says so, and nowhere else.

    A joint that was moved to exactly -1, one pixel outside, goes a hair further out.
    """
    marked: Pose = np.where(pose == MISSING, np.nextafter(MISSING, -2), pose)
    marked[missing] = MISSING
    return marked


def to_network(pose: Pose, image_size: Size, network_size: Size) -> npt.NDArray[np.float32]:
    """Scale a pose from an image to the network's grid.

    The network truncates what it is given to whole pixels. Rounding to float32 must not carry a
    coordinate over the next whole number, nor make a present joint look missing.

    Args:
        pose: (18, 2) as (y, x), pixels of the image; missing: -1.
        image_size: (height, width) of the image.
        network_size: (height, width) of the network's grid.

    Returns:
        (18, 2) float32 as (y, x), pixels of the network's grid; missing: exactly (-1, -1).
    """
    missing = (pose == MISSING).any(axis=1)
    scaled = pose * np.array(network_size, dtype=np.float64) / np.array(image_size)
    rounded: npt.NDArray[np.float32] = scaled.astype(np.float32)
    carried = np.trunc(rounded) != np.trunc(scaled)
    rounded[carried] = np.nextafter(rounded[carried], np.float32(0))
    looks_missing = (rounded == MISSING).all(axis=1)
    rounded[looks_missing] = np.nextafter(np.float32(MISSING), np.float32(-2))
    rounded[missing] = MISSING
    return rounded
