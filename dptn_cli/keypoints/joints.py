"""The 18 joints in OpenPose's order, their mirror image, and COCO's 17 to and fro."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.types import JOINTS, MISSING, Pose

JOINT_NAMES = (
    "nose", "neck",
    "right shoulder", "right elbow", "right wrist",
    "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle",
    "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip

# The joint that a joint becomes in a mirror: left and right change places.
MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)

COCO_NAMES = (
    "nose", "left eye", "right eye", "left ear", "right ear",
    "left shoulder", "right shoulder", "left elbow", "right elbow",
    "left wrist", "right wrist", "left hip", "right hip",
    "left knee", "right knee", "left ankle", "right ankle",
)  # fmt: skip
COCO_JOINTS = len(COCO_NAMES)

NECK = JOINT_NAMES.index("neck")
SHOULDERS = (JOINT_NAMES.index("right shoulder"), JOINT_NAMES.index("left shoulder"))
# For each of COCO's joints, its place among the 18; the neck is in neither's list.
_PLACES = [JOINT_NAMES.index(name) for name in COCO_NAMES]

Confidence: TypeAlias = npt.NDArray[np.float64]
"""(18,) in 0..1; 0 where the joint is missing."""


def from_coco(
    joints_xyv: npt.NDArray[np.floating], least_confidence: float = 0.0
) -> tuple[Pose, Confidence]:
    """COCO's 17 joints as 18: the neck is the middle of the shoulders, where both are there.

    Args:
        joints_xyv: (17, 3) as (x, y, v), pixels. v is a confidence, or COCO's flag: 0 not
            labelled, 1 hidden, 2 seen; a hidden joint is there all the same.
        least_confidence: a joint below it is missing; one with v of 0 always is.

    Returns:
        The pose (18, 2) as (y, x), with all of the coordinates' digits, and the confidences.
        The neck's is the lesser of the shoulders'.
    """
    pose = np.full((JOINTS, 2), MISSING)
    confidence = np.zeros(JOINTS)
    pose[_PLACES] = joints_xyv[:, 1::-1]
    confidence[_PLACES] = np.clip(joints_xyv[:, 2], 0, 1)
    confidence[confidence < least_confidence] = 0
    confidence[NECK] = confidence[list(SHOULDERS)].min()
    pose[NECK] = pose[list(SHOULDERS)].mean(axis=0)
    return without_missing(pose, confidence)


def to_coco(pose: Pose, confidence: Confidence) -> npt.NDArray[np.float64]:
    """The 17 of the 18 joints that COCO knows, as (17, 3) of (x, y, confidence).

    A missing joint is (0, 0, 0). The neck is dropped: `from_coco` finds it again.
    """
    pose, confidence = without_missing(pose, confidence)
    joints_xyv = np.column_stack([pose[:, ::-1], confidence])
    joints_xyv[confidence == 0] = 0
    coco: npt.NDArray[np.float64] = joints_xyv[_PLACES]
    return coco


def without_missing(pose: Pose, confidence: Confidence) -> tuple[Pose, Confidence]:
    """Both with a joint missing in both where either says so: -1 and a confidence of 0."""
    missing = (confidence <= 0) | (pose == MISSING).any(axis=1)
    return np.where(missing[:, None], MISSING, pose), np.where(missing, 0.0, confidence)


def mirror_pose(pose: Pose, width: int) -> Pose:
    """The pose in the image flipped left to right: joints change sides as well as places.

    Args:
        pose: (18, 2) as (y, x), pixels; missing: -1.
        width: of the image, pixels.
    """
    mirrored: Pose = pose[list(MIRRORED)]
    present = (mirrored != MISSING).all(axis=1)
    mirrored[present, 1] = width - 1 - mirrored[present, 1]
    return mirrored
