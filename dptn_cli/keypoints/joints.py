"""The joint order: OpenPose's 18 joints, their mirror image, and COCO's 17."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.types import JOINTS, MISSING, Pose

# The order in which every pose in dptn, and the network, has its joints.
JOINT_NAMES = (
    "nose", "neck",
    "right shoulder", "right elbow", "right wrist",
    "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle",
    "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip

# For each joint, the joint it becomes in a mirror: left and right trade places.
MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)

COCO_NAMES = (
    "nose", "left eye", "right eye", "left ear", "right ear",
    "left shoulder", "right shoulder", "left elbow", "right elbow",
    "left wrist", "right wrist", "left hip", "right hip",
    "left knee", "right knee", "left ankle", "right ankle",
)  # fmt: skip
COCO_JOINTS = len(COCO_NAMES)

NECK = JOINT_NAMES.index("neck")
SHOULDERS = [JOINT_NAMES.index("right shoulder"), JOINT_NAMES.index("left shoulder")]
HIPS = [JOINT_NAMES.index("right hip"), JOINT_NAMES.index("left hip")]
# Entry i is where COCO's joint i stands in `JOINT_NAMES`. COCO has no neck.
_FROM_COCO = [JOINT_NAMES.index(name) for name in COCO_NAMES]

Confidence: TypeAlias = npt.NDArray[np.float64]
"""(18,) in 0..1; 0 where the joint is missing."""


def from_coco(
    joints_xyv: npt.NDArray[np.floating], min_confidence: float = 0.0
) -> tuple[Pose, Confidence]:
    """Convert COCO's 17 joints to the 18 of `JOINT_NAMES`.

    The neck is the midpoint of the shoulders, and missing unless both shoulders are present.

    Args:
        joints_xyv: (17, 3) as (x, y, v), pixels. v is a confidence, or COCO's flag: 0 not
            labelled, 1 hidden, 2 visible. A hidden joint counts as present.
        min_confidence: joints with a lower v are missing; joints with a v of 0 always are.

    Returns:
        The pose (18, 2) as (y, x), coordinates not rounded, and the confidences (18,). The
        neck has the lower of the shoulders' confidences.
    """
    pose = np.full((JOINTS, 2), MISSING)
    confidence = np.zeros(JOINTS)
    pose[_FROM_COCO] = joints_xyv[:, 1::-1]
    confidence[_FROM_COCO] = np.clip(joints_xyv[:, 2], 0, 1)
    confidence[confidence < min_confidence] = 0
    confidence[NECK] = confidence[SHOULDERS].min()
    pose[NECK] = pose[SHOULDERS].mean(axis=0)
    return mark_missing(pose, confidence)


def to_coco(pose: Pose, confidence: Confidence) -> npt.NDArray[np.float64]:
    """Convert the 18 joints to COCO's 17; the neck is dropped.

    Args:
        pose: (18, 2) as (y, x), pixels; missing: -1.
        confidence: (18,) in 0..1; missing: 0.

    Returns:
        (17, 3) as (x, y, confidence); a missing joint is (0, 0, 0).
    """
    pose, confidence = mark_missing(pose, confidence)
    joints_xyv = np.column_stack([pose[:, ::-1], confidence])
    joints_xyv[confidence == 0] = 0
    coco: npt.NDArray[np.float64] = joints_xyv[_FROM_COCO]
    return coco


def mark_missing(pose: Pose, confidence: Confidence) -> tuple[Pose, Confidence]:
    """Make pose and confidences agree on which joints are missing.

    A joint that is missing in either becomes (-1, -1) in the pose and 0 in the confidences.
    """
    missing = (confidence <= 0) | (pose == MISSING).any(axis=1)
    return np.where(missing[:, None], MISSING, pose), np.where(missing, 0.0, confidence)


def mirror_pose(pose: Pose, width: int) -> Pose:
    """Return the pose of the same person in the image flipped left to right.

    Left and right joints are swapped too: in a mirror, the left hand is a right hand.

    Args:
        pose: (18, 2) as (y, x), pixels; missing: -1.
        width: width of the image, pixels.
    """
    mirrored: Pose = pose[list(MIRRORED)]
    present = (mirrored != MISSING).all(axis=1)
    mirrored[present, 1] = width - 1 - mirrored[present, 1]
    return mirrored
