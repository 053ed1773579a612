"""Where a person and a pose come to stand on the network's grid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Fit, Retarget
from dptn_cli.errors import InputError
from dptn_cli.io.images import read_image_size
from dptn_cli.keypoints import (
    crop_for,
    joints_in_image,
    person_crop,
    retarget,
    to_network,
    with_missing,
)
from dptn_cli.types import MISSING, Crop, ImageSpec, Item, Job, Pose, Size

DIGITS = 3  # a coordinate must not fall below a whole pixel by the last bits of a product


@dataclass(frozen=True)
class FramedPose:
    """A pose and the part of its image that the network is shown.

    Attributes:
        crop: the part; None: all of it.
        pose: in that part, scaled to the model's size on disk, where both axes are alike.
        on_network: (18, 2) float32 (y, x), pixels of the network's grid.
    """

    crop: Crop | None
    pose: Pose
    on_network: npt.NDArray[np.float32]


def frame_source(pose: Pose, size: Size, spec: ImageSpec, fit: Fit) -> FramedPose:
    """Fit the person in a source image to the model's frame.

    Args:
        pose: of the person, pixels of the image.
        size: (height, width) of the image.
        spec: the model's.
        fit: how.

    Raises:
        InputError: nothing of the pose is in the image, or too little to fit by.
    """
    _check_inside(pose, size, "source")
    return _placed(pose, size, crop_for(pose, size, spec.image_size, fit), spec)


def frame_target(item: Item, source: FramedPose, job: Job) -> FramedPose:
    """Bring an item's target pose to the network's grid, as the job says.

    Raises:
        InputError: nothing of it is in the image, or it cannot be fitted.
    """
    spec, pose = job.model.spec, item.target_pose
    if job.retarget is Retarget.SCALE:
        _check_not_empty(pose, "target")
        pose = retarget(pose, source.pose)
        _check_inside(pose, spec.image_size, "target")
        return FramedPose(None, pose, to_network(pose, spec.image_size, spec.network_size))
    size = _target_size(item)
    if size is None and job.fit is not Fit.STRETCH and _reaches_beyond(pose, spec.image_size):
        around = person_crop(pose, spec.image_size)
        return _placed(pose, spec.image_size, around, spec)
    size = size or spec.image_size
    _check_inside(pose, size, "target")
    crop = crop_for(pose, size, spec.image_size, job.fit)
    return _placed(pose, size, crop, spec)


def _placed(pose: Pose, size: Size, crop: Crop | None, spec: ImageSpec) -> FramedPose:
    missing = (pose == MISSING).any(axis=1)
    if crop is None:
        on_disk = with_missing(pose * (np.array(spec.image_size) / np.array(size)), missing)
        return FramedPose(None, on_disk, to_network(pose, size, spec.network_size))
    # Published scaling forgets that a joint at 0 is at a pixel's centre: half a pixel of the
    # larger image, which is nothing there, but would be seen in a large photo's crop.
    scale = np.array(spec.image_size) / np.array(crop.size)
    moved = (pose + 0.5 - (crop.top, crop.left)) * scale - 0.5
    on_disk = with_missing(np.round(moved, DIGITS), missing)
    return FramedPose(crop, on_disk, to_network(on_disk, spec.image_size, spec.network_size))


def _target_size(item: Item) -> Size | None:
    """The frame of the target pose: its image's where there is one, else as its file tells."""
    try:
        return read_image_size(item.target_path) if item.target_path else item.target_size
    except InputError:
        return item.target_size


def _reaches_beyond(pose: Pose, size: Size) -> bool:
    there = int((pose != MISSING).all(axis=1).sum())
    return joints_in_image(pose, size) < there


def _check_not_empty(pose: Pose, which: str) -> None:
    if (pose == MISSING).all():
        raise InputError(f"the {which} pose is empty: all 18 joints are missing")


def _check_inside(pose: Pose, size: Size, which: str) -> None:
    _check_not_empty(pose, which)
    if not joints_in_image(pose, size):
        raise InputError(
            f"no joint of the {which} pose is inside the image of {size[1]}x{size[0]} pixels"
        )
