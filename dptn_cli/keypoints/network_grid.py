"""Scale poses from pixels of an image to pixels of the network's input."""

import numpy as np
import numpy.typing as npt

from dptn_cli.types import MISSING, Pose, Size


def present_joints(pose: Pose) -> npt.NDArray[np.bool_]:
    """Return which joints of a pose are present: (18,), False where a coordinate is -1."""
    return np.asarray((pose != MISSING).all(axis=1))


def joints_in_image(pose: Pose, image_size: Size) -> int:
    """Return how many joints lie inside an image of this (height, width)."""
    return int(((pose >= 0) & (pose < np.array(image_size))).all(axis=1).sum())


def with_missing(pose: Pose, missing: npt.NDArray[np.bool_]) -> Pose:
    """Return the pose with -1 for the missing joints, and for no other joint.

    -1 means "missing" but is also a coordinate: one pixel outside the image. A joint that
    scaling or moving has put on exactly -1 would be lost, so it gets the next smaller float,
    which is the same place for all practical purposes.

    Args:
        pose: (18, 2) as (y, x), pixels; the rows of missing joints may hold anything.
        missing: (18,), True where the joint is missing.
    """
    marked: Pose = np.where(pose == MISSING, np.nextafter(MISSING, -2), pose)
    marked[missing] = MISSING
    return marked


def to_network(pose: Pose, image_size: Size, network_size: Size) -> npt.NDArray[np.float32]:
    """Scale a pose from an image to the network's grid.

    Args:
        pose: (18, 2) as (y, x), pixels of the image; missing: -1.
        image_size: (height, width) of the image.
        network_size: (height, width) of the network's grid.

    Returns:
        (18, 2) float32 as (y, x), pixels of the network's grid; missing: exactly (-1, -1).
    """
    missing = ~present_joints(pose)
    scaled = pose * np.array(network_size, dtype=np.float64) / np.array(image_size)
    rounded: npt.NDArray[np.float32] = scaled.astype(np.float32)
    # The network truncates coordinates to whole pixels. Where rounding to float32 reached the
    # next whole number (41.9999999 -> 42.0), step back towards 0.
    carried = np.trunc(rounded) != np.trunc(scaled)
    rounded[carried] = np.nextafter(rounded[carried], np.float32(0))
    # A present joint on exactly (-1, -1) would look missing; see `with_missing`.
    looks_missing = (rounded == MISSING).all(axis=1)
    rounded[looks_missing] = np.nextafter(np.float32(MISSING), np.float32(-2))
    rounded[missing] = MISSING
    return rounded
