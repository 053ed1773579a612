"""The crop around a person: which part of an image the network sees.

The network does best on people framed as in its training images. There, in shares of the image's
height, a person reaches from 0.055 (crown) to 0.953 (soles), and the midpoint between neck and
hips is at half the width. These shares were measured on 300 of the figures that
`examples/figures` draws, which stand as people do in DeepFashion's full-length images.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Fit
from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import HIPS, NECK, SHOULDERS
from dptn_cli.types import JOINTS, MISSING, Crop, Pose, Size

# Where a person is in a training image, in shares of the image's height; see above.
TOP_SHARE = 0.055  # above the crown
PERSON_SHARE = 0.898  # from crown to soles

# Proportions of people who stand, in torso lengths (neck to mid hip). They hold for the drawn
# figures and for adults alike.
CROWN_ABOVE_FACE = 0.29  # crown above the mean of nose, eyes and ears
SOLE_BELOW_ANKLE = 0.16
# A person who bends over has a foreshortened torso, so it counts as no shorter than this share
# of the joints' height.
MIN_TORSO_PER_HEIGHT = 0.25
TORSO_PER_SHOULDERS = 1.2  # stands in for the torso if neck or hips are missing
HAND_ROOM = 0.1  # kept free beyond the outermost joint, because a hand reaches past its wrist

SAME_ASPECT = 0.05  # an image whose aspect differs by less is stretched, not cropped
MIN_JOINTS = 3
MIN_SIDE_PX = 1.0
DECIMALS = 3  # of a crop's edges, pixels
_FACE = [0, 14, 15, 16, 17]  # nose, eyes, ears
_IS_ARM = np.isin(np.arange(JOINTS), [3, 4, 6, 7])  # elbows and wrists

Mask: TypeAlias = npt.NDArray[np.bool_]
"""(18,), True where a joint is present."""


def crop_for(pose: Pose, image_size: Size, model_size: Size, fit: Fit) -> Crop | None:
    """Return the part of an image that the network sees.

    Args:
        pose: (18, 2) as (y, x), the person's pose in pixels of the image; missing: -1.
        image_size: (height, width) of the image, pixels.
        model_size: (height, width) of the images that the model was trained on, pixels.
        fit: how images of other sizes are brought to the model's size.

    Returns:
        The crop, in the model's aspect ratio. None means the whole image, stretched to the
        model's size as the published code does it.

    Raises:
        InputError: the pose has too few joints to crop around.
    """
    relative_aspect = image_size[1] / image_size[0] * model_size[0] / model_size[1]
    if fit is Fit.STRETCH or (fit is Fit.AUTO and abs(relative_aspect - 1) <= SAME_ASPECT):
        return None
    crop = _padded_crop(image_size, model_size) if fit is Fit.PAD else person_crop(pose, model_size)
    return None if crop == Crop(0, 0, *image_size) else crop


def _padded_crop(image_size: Size, model_size: Size) -> Crop:
    """Return the smallest crop in the model's aspect with the whole image in its middle."""
    height, width = image_size
    crop_height = max(height, width * model_size[0] / model_size[1])
    crop_width = max(width, height * model_size[1] / model_size[0])
    return Crop((height - crop_height) / 2, (width - crop_width) / 2, crop_height, crop_width)


def person_crop(pose: Pose, model_size: Size) -> Crop:
    """Return a crop in the model's aspect that frames a person as training images do.

    The crop leaves no room for legs that are not visible: a half-length image stays one.

    Args:
        pose: (18, 2) as (y, x), pixels of the image; missing: -1.
        model_size: (height, width) of the images that the model was trained on, pixels.

    Returns:
        The crop, in pixels of the image. It may reach beyond the image.

    Raises:
        InputError: the pose has fewer than `MIN_JOINTS` joints, or all in one place.
    """
    present = (pose != MISSING).all(axis=1)
    if present.sum() < MIN_JOINTS:
        raise InputError(
            f"{present.sum()} joints are too few to crop around a person; "
            "use the whole image with --fit pad or --fit stretch"
        )
    if not np.ptp(pose[present], axis=0).any():
        raise InputError("the joints are all in one place: there is no person to crop around")
    top, centre, height = _frame(pose, present, model_size[0] / model_size[1])
    width = height * model_size[1] / model_size[0]
    # A joint's coordinate 0 is the centre of the first pixel, a crop's 0 the edge before it.
    return Crop(
        top=round(top + 0.5, DECIMALS),
        left=round(centre + 0.5 - width / 2, DECIMALS),
        height=max(MIN_SIDE_PX, round(height, DECIMALS)),
        width=max(MIN_SIDE_PX, round(width, DECIMALS)),
    )


def _frame(pose: Pose, present: Mask, tallness: float) -> tuple[float, float, float]:
    """Find the frame around a person in two steps.

    First, the body without its arms says how large the person is, because an arm moves far
    while the person stays the same size: crown and soles are estimated from face and feet, and
    their distance is to fill `PERSON_SHARE` of the height. Then, the frame grows until it holds
    the arms too, because a hand outside it would be lost.

    Args:
        pose: (18, 2) as (y, x).
        present: which joints are not missing.
        tallness: height of the frame divided by its width.

    Returns:
        Its top (y), the middle of its width (x), and its height, in coordinates of joints.
    """
    torso = _torso_px(pose, present)
    body = present & ~_IS_ARM
    body_ys = pose[body if body.any() else present, 0]
    face_ys = pose[_FACE, 0][present[_FACE]]
    crown = face_ys.mean() - CROWN_ABOVE_FACE * torso if len(face_ys) else body_ys.min()
    sole = body_ys.max() + SOLE_BELOW_ANKLE * torso
    height = (sole - crown) / PERSON_SHARE
    top = crown - TOP_SHARE * height

    ys, xs = pose[present].T
    missing_above = max(0.0, top - (ys.min() - HAND_ROOM * torso))
    missing_below = max(0.0, ys.max() + HAND_ROOM * torso - (top + height))
    top, height = top - missing_above, missing_above + height + missing_below
    centre = _trunk_centre(pose, present)
    # The width follows from the height, so a frame that is too narrow has to grow in height,
    # half of it at either end.
    half_width = np.abs(xs - centre).max() + HAND_ROOM * torso
    missing_height = 2 * half_width * tallness - height
    if missing_height > 0:
        top, height = top - missing_height / 2, height + missing_height
    return float(top), centre, float(height)


def _torso_px(pose: Pose, present: Mask) -> float:
    """Return the length from neck to mid hip, estimated if they are missing or foreshortened."""
    shortest = MIN_TORSO_PER_HEIGHT * float(np.ptp(pose[present, 0]))
    if present[NECK] and present[HIPS].all():
        return max(shortest, float(np.linalg.norm(pose[HIPS].mean(axis=0) - pose[NECK])))
    if present[SHOULDERS].all():
        right, left = pose[SHOULDERS]
        return max(shortest, TORSO_PER_SHOULDERS * float(np.linalg.norm(right - left)))
    return max(shortest, 1.0)


def _trunk_centre(pose: Pose, present: Mask) -> float:
    """Return the x midway between neck and hips, or the best that the joints allow."""
    xs = [pose[part, 1].mean() for part in ([NECK], HIPS) if present[part].all()]
    return float(np.mean(xs)) if xs else float(pose[present, 1].mean())
