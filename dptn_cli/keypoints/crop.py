"""Which part of an image shows the person as the images that networks are trained on do.

How such images are framed, in shares of their height: the person from 0.055 to 0.953, the
middle of neck and hips at half the width. Measured on 300 drawn figures, which stand as the
full-length images of DeepFashion do.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Fit
from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import JOINT_NAMES, NECK, SHOULDERS
from dptn_cli.types import JOINTS, MISSING, Crop, Pose, Size

SAME_ASPECT = 0.05
TOP_SHARE = 0.055
PERSON_SHARE = 0.898
# Of people who stand, in lengths from neck to hips: the crown is 0.65 above the neck and 0.29
# above eyes and ears, the sole 0.16 below the ankle. The same on figures and on grown people.
CROWN_ABOVE_FACE = 0.29
SOLE_BELOW_ANKLE = 0.16
TORSO_PER_HEIGHT = 0.25  # at least, of the height of all joints: who bends has a short torso
TORSO_PER_SHOULDERS = 1.2
MIN_JOINTS = 3
DIGITS = 3  # of a crop's edges, pixels
MIN_SIDE = 1.0
ROOM = 0.1  # beyond the joint of an outstretched arm, for the hand
HIPS = [JOINT_NAMES.index("right hip"), JOINT_NAMES.index("left hip")]
_FACE = [0, 14, 15, 16, 17]
_IS_ARM = np.isin(np.arange(JOINTS), [3, 4, 6, 7])

Mask: TypeAlias = npt.NDArray[np.bool_]
"""(18,), which joints are there."""


def crop_for(pose: Pose, image_size: Size, model_size: Size, fit: Fit) -> Crop | None:
    """The part of an image that the model is shown.

    Args:
        pose: of the person in the image, pixels of it.
        image_size: (height, width) of the image.
        model_size: (height, width) that the model was made for.
        fit: how.

    Returns:
        None: the whole image, stretched to the model's size as published.

    Raises:
        InputError: the person has too few joints to crop by.
    """
    aspect = image_size[1] / image_size[0] * model_size[0] / model_size[1]
    if fit is Fit.STRETCH or (fit is Fit.AUTO and abs(aspect - 1) <= SAME_ASPECT):
        return None
    crop = padded(image_size, model_size) if fit is Fit.PAD else person_crop(pose, model_size)
    return None if crop == Crop(0, 0, *image_size) else crop


def padded(image_size: Size, model_size: Size) -> Crop:
    """The whole image in the middle of the smallest crop of the model's aspect."""
    height, width = image_size
    tall = max(height, width * model_size[0] / model_size[1])
    wide = max(width, height * model_size[1] / model_size[0])
    return Crop((height - tall) / 2, (width - wide) / 2, tall, wide)


def person_crop(pose: Pose, model_size: Size) -> Crop:
    """A crop of the model's aspect around a person, framed as in training.

    What is not seen below (ankles, knees) is not made room for: a half-length image stays one.

    Raises:
        InputError: too few joints, or all in one place.
    """
    there = (pose != MISSING).all(axis=1)
    if there.sum() < MIN_JOINTS:
        raise InputError(
            f"{there.sum()} joints are too few to crop around a person; "
            "--fit pad or --fit stretch take the whole image"
        )
    if not np.ptp(pose[there], axis=0).any():
        raise InputError("the joints are all in one place: that is no person to crop around")
    height, first, centre = _framed(pose, there, model_size[0] / model_size[1])
    width = height * model_size[1] / model_size[0]
    # Joints are at pixels' centres, crops begin at their edges.
    return Crop(
        top=round(first + 0.5, DIGITS),
        left=round(centre + 0.5 - width / 2, DIGITS),
        height=max(MIN_SIDE, round(height, DIGITS)),
        width=max(MIN_SIDE, round(width, DIGITS)),
    )


def _framed(pose: Pose, there: Mask, tallness: float) -> tuple[float, float, float]:
    """Height, first row and middle column of a crop, `tallness` times as tall as it is wide."""
    torso = _torso_px(pose, there)
    body = there & ~_IS_ARM
    heights = pose[body if body.any() else there, 0]
    face = pose[_FACE, 0][there[_FACE]]
    crown = face.mean() - CROWN_ABOVE_FACE * torso if len(face) else heights.min()
    sole = heights.max() + SOLE_BELOW_ANKLE * torso
    height = (sole - crown) / PERSON_SHARE
    first = crown - TOP_SHARE * height
    # Arms may reach beyond: the crop grows, since a hand outside would be lost.
    above = max(0.0, first - (pose[there, 0].min() - ROOM * torso))
    below = max(0.0, pose[there, 0].max() + ROOM * torso - (first + height))
    first, height = first - above, above + height + below
    centre = _trunk_centre(pose, there)
    aside = 2 * (np.abs(pose[there, 1] - centre).max() + ROOM * torso) * tallness - height
    if aside > 0:
        first, height = first - aside / 2, height + aside
    return float(height), float(first), centre


def _torso_px(pose: Pose, there: Mask) -> float:
    """Length from neck to hips, or what it would be for someone of this height."""
    height = float(np.ptp(pose[there, 0]))
    least = TORSO_PER_HEIGHT * height
    if there[NECK] and there[HIPS].all():
        return max(least, float(np.linalg.norm(pose[HIPS].mean(axis=0) - pose[NECK])))
    if there[list(SHOULDERS)].all():
        right, left = pose[list(SHOULDERS)]
        return max(least, TORSO_PER_SHOULDERS * float(np.linalg.norm(right - left)))
    return max(least, 1.0)


def _trunk_centre(pose: Pose, there: Mask) -> float:
    """The middle of neck and hips across, as far as they are seen."""
    parts = [pose[group, 1].mean() for group in ([NECK], HIPS) if there[group].all()]
    return float(np.mean(parts)) if parts else float(pose[there, 1].mean())
