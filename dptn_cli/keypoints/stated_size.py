"""Keypoints whose file states another image size than the image has."""

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import HIPS, NECK
from dptn_cli.keypoints.network_grid import present_joints, with_missing
from dptn_cli.types import Pose, Size

DECIMALS = 3
ROUNDING_PX = 1.0  # by which resizing may round a side


def pose_on_image(pose: Pose, stated_size: Size | None, image_size: Size) -> Pose:
    """Return a pose in pixels of the image, scaled if the image was resized after annotation.

    Some files state the size before the EXIF rotation, with height and width swapped. That is
    accepted if the keypoints are upright.

    Args:
        pose: (18, 2) as (y, x), pixels of an image of `stated_size`; missing: -1.
        stated_size: (height, width) according to the pose file; None if it does not say.
        image_size: (height, width) of the image, pixels.

    Returns:
        (18, 2) as (y, x), pixels of the image.

    Raises:
        InputError: scaling cannot explain the difference.
    """
    if stated_size is None or stated_size == image_size:
        return pose
    if is_resized(stated_size, image_size):
        return _scale(pose, stated_size, image_size)
    turned_size = stated_size[::-1]
    if is_resized(turned_size, image_size):
        scaled = _scale(pose, turned_size, image_size)
        if _is_upright(scaled, image_size):
            return scaled
    raise InputError(
        f"the pose file is for an image of {_describe(stated_size)} pixels, but the image has "
        f"{_describe(image_size)}; give the keypoints of this image"
    )


def _scale(pose: Pose, old_size: Size, new_size: Size) -> Pose:
    if old_size == new_size:
        return pose
    missing = ~present_joints(pose)
    scaled = (pose + 0.5) * (np.array(new_size) / np.array(old_size)) - 0.5
    return with_missing(np.round(scaled, DECIMALS), missing)


def is_resized(stated_size: Size, image_size: Size) -> bool:
    """Return whether the two sizes have the same aspect, up to rounding by a pixel."""
    return _has_factor(stated_size, image_size) or _has_factor(image_size, stated_size)


def _has_factor(old: Size, new: Size) -> bool:
    low = max((side - ROUNDING_PX) / old_side for old_side, side in zip(old, new, strict=True))
    high = min((side + ROUNDING_PX) / old_side for old_side, side in zip(old, new, strict=True))
    return low <= high


def _is_upright(pose: Pose, image_size: Size) -> bool:
    """Return whether a pose lies in the image, with the hips below the neck."""
    present = present_joints(pose)
    inside = ((pose[present] >= 0) & (pose[present] < np.array(image_size))).all()
    if not inside or not present[NECK] or not present[HIPS].any():
        return False
    hips = pose[HIPS][present[HIPS]].mean(axis=0)
    down, aside = hips - pose[NECK]
    return bool(down > abs(aside))


def _describe(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
