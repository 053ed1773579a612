"""Where a person and a pose come to stand on the network's grid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.images import picture_size
from dptn_cli.keypoints import (
    crop_for,
    joints_in_frame,
    person_crop,
    retarget,
    to_network,
    with_missing,
)
from dptn_cli.records import MISSING, Crop, Fit, Frame, Item, Job, Pose, Retarget, Size

DIGITS = 3  # a coordinate must not fall below a whole pixel by the last bits of a product


@dataclass(frozen=True)
class Placed:
    """A pose and the part of its picture that the network is shown.

    Attributes:
        crop: the part; None: all of it.
        pose: in that part, scaled to the model's size on disk, where both axes are alike.
        on_network: (18, 2) float32 (y, x), pixels of the network's grid.
    """

    crop: Crop | None
    pose: Pose
    on_network: npt.NDArray[np.float32]


def source_placed(pose: Pose, size: Size, frame: Frame, fit: Fit) -> Placed:
    """Fit the person in a source picture to the model's frame.

    Args:
        pose: of the person, pixels of the picture.
        size: (height, width) of the picture.
        frame: the model's.
        fit: how.

    Raises:
        InputError: nothing of the pose is in the picture, or too little to fit by.
    """
    _check_inside(pose, size, "source")
    return _placed(pose, size, crop_for(pose, size, frame.image_size, fit), frame)


def target_placed(item: Item, source: Placed, job: Job) -> Placed:
    """Bring an item's target pose to the network's grid, as the job says.

    Raises:
        InputError: nothing of it is in the picture, or it cannot be fitted.
    """
    frame, pose = job.model.frame, item.target_pose
    if job.retarget is Retarget.SCALE:
        _check_not_empty(pose, "target")
        pose = retarget(pose, source.pose)
        _check_inside(pose, frame.image_size, "target")
        return Placed(None, pose, to_network(pose, frame.image_size, frame.network_size))
    size = _target_size(item)
    if size is None and job.fit is not Fit.STRETCH and _reaches_beyond(pose, frame.image_size):
        around = person_crop(pose, frame.image_size)
        return _placed(pose, frame.image_size, around, frame)
    size = size or frame.image_size
    _check_inside(pose, size, "target")
    crop = crop_for(pose, size, frame.image_size, job.fit)
    return _placed(pose, size, crop, frame)


def _placed(pose: Pose, size: Size, crop: Crop | None, frame: Frame) -> Placed:
    missing = (pose == MISSING).any(axis=1)
    if crop is None:
        on_disk = with_missing(pose * (np.array(frame.image_size) / np.array(size)), missing)
        return Placed(None, on_disk, to_network(pose, size, frame.network_size))
    # Published scaling forgets that a joint at 0 is at a pixel's centre: half a pixel of the
    # larger picture, which is nothing there, but would be seen in a large photo's crop.
    scale = np.array(frame.image_size) / np.array(crop.size)
    moved = (pose + 0.5 - (crop.top, crop.left)) * scale - 0.5
    on_disk = with_missing(np.round(moved, DIGITS), missing)
    return Placed(crop, on_disk, to_network(on_disk, frame.image_size, frame.network_size))


def _target_size(item: Item) -> Size | None:
    """The frame of the target pose: its picture's where there is one, else as its file tells."""
    try:
        return picture_size(item.target_path) if item.target_path else item.target_size
    except InputError:
        return item.target_size


def _reaches_beyond(pose: Pose, size: Size) -> bool:
    there = int((pose != MISSING).all(axis=1).sum())
    return joints_in_frame(pose, size) < there


def _check_not_empty(pose: Pose, which: str) -> None:
    if (pose == MISSING).all():
        raise InputError(f"the {which} pose is empty: all 18 joints are missing")


def _check_inside(pose: Pose, size: Size, which: str) -> None:
    _check_not_empty(pose, which)
    if not joints_in_frame(pose, size):
        raise InputError(
            f"no joint of the {which} pose is inside the picture of {size[1]}x{size[0]} pixels"
        )
