"""Where a person and a pose are placed in the network's image."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Fit, FramingWarning, Retarget
from dptn_cli.errors import InputError, PoseError
from dptn_cli.io.images import read_image_size
from dptn_cli.keypoints import (
    MAX_FILLED_SHARE,
    Body,
    crop_for,
    filled_share,
    fit_into_frame,
    joints_in_image,
    parts_not_shown,
    person_crop,
    pose_on_image,
    present_joints,
    retarget,
    to_network,
    with_missing,
)
from dptn_cli.types import MISSING, Crop, ImageSpec, Item, Job, Pose, Size

# Rounding keeps the last bits of a product from moving a coordinate below a whole pixel.
DIGITS = 3
MIN_PERSON_PX = 64  # height of a person in the image; smaller ones are blurred in the crop
ROUNDING = 1e-3  # of a share, by which a crop may pass its limit


@dataclass(frozen=True)
class FramedPose:
    """A pose, and the part of its image that the network is shown.

    Attributes:
        crop: the part; None for the whole image.
        pose: (18, 2) as (y, x), pixels of that part at the model's size on disk, where both axes
            have the same scale.
        on_network: (18, 2) float32 as (y, x), pixels of the network's image.
    """

    crop: Crop | None
    pose: Pose
    on_network: npt.NDArray[np.float32]


def frame_source(pose: Pose, size: Size, spec: ImageSpec, fit: Fit) -> FramedPose:
    """Fit the person in a source image to the images that the model was made for.

    Args:
        pose: (18, 2) as (y, x), pixels of the image.
        size: (height, width) of the image, pixels.
        spec: the images that the model was made for.
        fit: how images of other sizes are brought to the model's size.

    Raises:
        InputError: no joint is inside the image, or too few joints are known to crop by.
    """
    _check_inside(pose, size, "source")
    return _frame(pose, size, _crop_for(pose, size, spec, fit, "source"), spec)


def _crop_for(pose: Pose, size: Size, spec: ImageSpec, fit: Fit, role: str) -> Crop | None:
    """Return the crop around a person; say whose pose it is if it cannot be cropped around."""
    try:
        return crop_for(pose, spec.image_size, size, fit)
    except InputError as error:
        raise PoseError(f"the {role} pose: {error}", role) from error


def frame_target(
    pose: Pose,
    size: Size | None,
    source: FramedPose,
    spec: ImageSpec,
    fit: Fit,
    retarget_mode: Retarget,
) -> FramedPose:
    """Place a target pose in the network's image.

    Args:
        pose: (18, 2) as (y, x), pixels of the target image.
        size: (height, width) of the target image, pixels; None if it is not known. A pose that
            is scaled to the source person does not depend on it.
        source: the source pose.
        spec: the images that the model was made for.
        fit: how images of other sizes are brought to the model's size.
        retarget_mode: whether the pose is scaled to the source person.

    Raises:
        InputError: no joint is inside the image, or the pose cannot be fitted.
    """
    _check_not_empty(pose, "target")
    if retarget_mode is Retarget.SCALE:
        pose = fit_into_frame(retarget(pose, source.pose), source.pose, spec.image_size)
        _check_inside(pose, spec.image_size, "target")
        return FramedPose(None, pose, to_network(pose, spec.image_size, spec.network_size))
    if size is None and fit is not Fit.STRETCH and _reaches_beyond(pose, spec.image_size):
        # Nothing says how large the pose's image was, but it was larger than the model's.
        crop: Crop | None = person_crop(pose, spec.image_size)
        return _frame(pose, spec.image_size, crop, spec)
    size = size or spec.image_size
    _check_inside(pose, size, "target")
    return _frame(pose, size, _crop_for(pose, size, spec, fit, "target"), spec)


def framing_warnings(
    source: FramedPose,
    target: Pose,
    size: Size | None,
    spec: ImageSpec,
    fit: Fit,
    retarget_mode: Retarget = Retarget.NONE,
) -> tuple[FramingWarning, ...]:
    """Return why an image may look wrong.

    A person who is not cropped around is not judged: the image is one of those that the model was
    made for, or the user wants it whole.

    Args:
        source: the source pose.
        target: (18, 2) as (y, x), pixels of the target image; missing: -1. Not empty.
        size: (height, width) of the source image, pixels; None if it is not known.
        spec: the images that the model was made for.
        fit: how images of other sizes are brought to the model's size.
        retarget_mode: whether the pose is scaled to the source person, whose whole figure then
            stays in the image.
    """
    body, wanted, crop = Body(source.pose), Body(target), source.crop
    is_wrong = {
        FramingWarning.TARGET_LYING: wanted.is_lying and not body.is_lying,
        FramingWarning.TARGET_UPSIDE_DOWN: wanted.is_upside_down and not body.is_upside_down,
        FramingWarning.POSE_WITHOUT_LEGS: retarget_mode is Retarget.SCALE
        and body.shows_legs
        and not wanted.shows_legs,
    }
    if crop is not None and size is not None and fit is not Fit.PAD:
        scale = crop.height / spec.image_size[0]
        is_wrong |= {
            FramingWarning.SOURCE_LYING: body.is_lying,
            FramingWarning.SOURCE_UPSIDE_DOWN: body.is_upside_down,
            FramingWarning.SOURCE_SMALL: body.length * scale < MIN_PERSON_PX,
            FramingWarning.SOURCE_FILLED: filled_share(crop, size) > MAX_FILLED_SHARE + ROUNDING,
        }
    wrong = [warning for warning in FramingWarning if is_wrong.get(warning)]
    return (*wrong, *parts_not_shown(target, source.pose))


def _frame(pose: Pose, size: Size, crop: Crop | None, spec: ImageSpec) -> FramedPose:
    missing = ~present_joints(pose)
    if crop is None:
        on_disk = with_missing(pose * (np.array(spec.image_size) / np.array(size)), missing)
        return FramedPose(None, on_disk, to_network(pose, size, spec.network_size))
    # The published scaling ignores that 0 is a pixel's centre. The error is half a pixel of the
    # larger image: nothing at the published sizes, but visible in the crop of a large photo.
    scale = np.array(spec.image_size) / np.array(crop.size)
    moved = (pose + 0.5 - (crop.top, crop.left)) * scale - 0.5
    on_disk = with_missing(np.round(moved, DIGITS), missing)
    return FramedPose(crop, on_disk, to_network(on_disk, spec.image_size, spec.network_size))


def frame_item_source(item: Item, size: Size | None, job: Job) -> FramedPose:
    """Fit the person of an item's source image to the job's model.

    Args:
        item: the item.
        size: (height, width) of the source image, pixels; None if it is not known.
        job: the job that the item belongs to.

    Raises:
        InputError: no joint is inside the image, too few joints are known to crop by, or the
            pose file is for an image of another size.
    """
    spec = job.model.spec
    pose = _pose_on(item.source, item.source_pose, item.source_size, size)
    with _naming(item):
        return frame_source(pose, size or spec.image_size, spec, job.fit)


def frame_item_target(item: Item, source: FramedPose, job: Job) -> FramedPose:
    """Place an item's target pose in the network's image, as its job says.

    Raises:
        InputError: no joint is inside the image, or the pose cannot be fitted.
        StoreError: the target image is in a store that could not be reached.
    """
    pose, size = item.target_pose, None
    if job.retarget is not Retarget.SCALE:
        size = _target_size(item)
        pose = _pose_on(item.target, pose, item.target_size, size)
    with _naming(item):
        return frame_target(pose, size, source, job.model.spec, job.fit, job.retarget)


def _pose_on(name: str, pose: Pose, stated: Size | None, size: Size | None) -> Pose:
    """Return a pose on its image, which errors name; see `pose_on_image`."""
    try:
        return pose_on_image(pose, stated, size) if size else pose
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


@contextmanager
def _naming(item: Item) -> Iterator[None]:
    """Say whose pose it is that cannot be used."""
    try:
        yield
    except PoseError as error:
        names = {"source": item.source, "target": item.target}
        name = names.get(error.role, f"{item.source} -> {item.target}")
        raise InputError(f"{name}: {error}") from error


def _target_size(item: Item) -> Size | None:
    """Return the size of the target image: from the image, else as its pose file says."""
    try:
        return read_image_size(item.target_path) if item.target_path else item.target_size
    except InputError:
        return item.target_size


def _reaches_beyond(pose: Pose, size: Size) -> bool:
    joints = int(present_joints(pose).sum())
    return joints_in_image(pose, size) < joints


def _check_not_empty(pose: Pose, role: str) -> None:
    if (pose == MISSING).all():
        raise PoseError(f"the {role} pose is empty: all 18 joints are missing", role)


def _check_inside(pose: Pose, size: Size, role: str) -> None:
    _check_not_empty(pose, role)
    if not joints_in_image(pose, size):
        raise PoseError(
            f"no joint of the {role} pose is inside the image of {size[1]}x{size[0]} pixels", role
        )
