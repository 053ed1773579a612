"""The joint order: OpenPose's 18 joints, their mirror image, and the orders of other tools."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.keypoints.network_grid import present_joints
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


@dataclass(frozen=True)
class JointOrder:
    """The order of joints in the files of some tool.

    Attributes:
        positions: (18,) position in the list of each joint of `JOINT_NAMES`; -1 where the list
            does not have it.
        length: number of joints in the list.
    """

    positions: tuple[int, ...]
    length: int

    @cached_property
    def _known(self) -> tuple[list[int], list[int]]:
        """The joints that the list has, and their positions in it."""
        known = [joint for joint, position in enumerate(self.positions) if position >= 0]
        return known, [self.positions[joint] for joint in known]

    def to_pose(
        self, joints_xyv: npt.NDArray[np.floating], min_confidence: float = 0.0
    ) -> tuple[Pose, Confidence]:
        """Convert joints in this order to the 18 of `JOINT_NAMES`.

        A list without a neck gets the midpoint of the shoulders, unless a shoulder is missing.

        Args:
            joints_xyv: (`length`, 3) as (x, y, v), pixels. v is a confidence, or COCO's flag: 0
                not labelled, 1 hidden, 2 visible. A hidden joint counts as present.
            min_confidence: joints with a lower v are missing; joints with a v of 0 always are.

        Returns:
            The pose (18, 2) as (y, x), coordinates not rounded, and the confidences (18,). A
            computed neck has the lower of the shoulders' confidences.
        """
        pose = np.full((JOINTS, 2), MISSING)
        confidence = np.zeros(JOINTS)
        known, positions = self._known
        rows = joints_xyv[positions]
        pose[known] = rows[:, 1::-1]
        confidence[known] = np.clip(rows[:, 2], 0, 1)
        confidence[confidence < min_confidence] = 0
        if self.positions[NECK] < 0:
            confidence[NECK] = confidence[SHOULDERS].min()
            pose[NECK] = pose[SHOULDERS].mean(axis=0)
        return mark_missing(pose, confidence)


def _order_of(names: Sequence[str], length: int = 0) -> JointOrder:
    """Return the order of a list that begins with these joints; "" stands for any other joint."""
    positions = tuple(names.index(name) if name in names else -1 for name in JOINT_NAMES)
    return JointOrder(positions, length or len(names))


COCO_ORDER = _order_of(COCO_NAMES)
OPENPOSE_ORDER = _order_of(JOINT_NAMES)
# BODY_25 inserts the mid hip at 8, which shifts the joints after it, and appends the feet.
BODY_25_ORDER = _order_of((*JOINT_NAMES[:8], "", *JOINT_NAMES[8:]), 25)
# Halpe (AlphaPose) and COCO-WholeBody (mmpose) begin with COCO's 17; Halpe has a neck at 18.
HALPE_26_ORDER = _order_of((*COCO_NAMES, "", "neck"), 26)
HALPE_136_ORDER = _order_of((*COCO_NAMES, "", "neck"), 136)
WHOLE_BODY_ORDER = _order_of(COCO_NAMES, 133)
BLAZEPOSE_ORDER = _order_of(  # MediaPipe
    (
        "nose", "", "left eye", "", "", "right eye", "", "left ear", "right ear", "", "",
        "left shoulder", "right shoulder", "left elbow", "right elbow",
        "left wrist", "right wrist", "", "", "", "", "", "",
        "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
    ),
    33,
)  # fmt: skip

MIN_NAMED_JOINTS = 8
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_PARTS = {"nose", "neck", "eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"}
_ANIMAL_PARTS = {"paw", "tail", "hoof", "withers", "tailbase", "wing", "beak", "muzzle"}


def joint_of_name(name: str) -> str:
    """Return the entry of `JOINT_NAMES` that a tool's name stands for, or "" if there is none.

    Case does not matter, and the side may stand first or last: `left_shoulder`, `Left Shoulder`,
    `LShoulder`, `shoulder-l` and `leftShoulder` are all the left shoulder.
    """
    words = _words(name)
    if len(words) == 1 and words[0][:1] in "lr" and words[0][1:] in _PARTS:  # `lshoulder`
        words = [words[0][0], words[0][1:]]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    parts = [word for word in words if word not in _SIDES]
    joint = " ".join((*sides, *parts))
    return joint if joint in JOINT_NAMES else ""


def _words(name: str) -> list[str]:
    """Split a joint's name at separators and capitals: `LShoulder` -> `l`, `shoulder`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    return [
        word for joined in words for word in re.sub(r"^(left|right)(?=.)", r"\1 ", joined).split()
    ]


def named_order(names: Sequence[str]) -> JointOrder | None:
    """Return the order of a list of joints by their names.

    Returns:
        None if the names are not those of a person: fewer than `MIN_NAMED_JOINTS` joints are
        known, or some are an animal's.
    """
    joints = [joint_of_name(name) for name in names]
    is_animal = any(_ANIMAL_PARTS.intersection(_words(name)) for name in names)
    if is_animal or len(set(joints) - {""}) < MIN_NAMED_JOINTS:
        return None
    return _order_of(joints)


def names_in_order(names: object) -> list[str]:
    """Return the names of joints that a file lists.

    Args:
        names: a list, a text with commas, or an object whose keys are the joints' numbers.
    """
    if isinstance(names, dict):
        numbered = sorted(names.items(), key=lambda item: (len(str(item[0])), str(item[0])))
        return [str(name) for _, name in numbered]
    if isinstance(names, str):
        return [name.strip() for name in names.split(",")]
    return list(map(str, names)) if isinstance(names, list) else []


def from_coco(
    joints_xyv: npt.NDArray[np.floating], min_confidence: float = 0.0
) -> tuple[Pose, Confidence]:
    """Convert COCO's 17 joints to the 18 of `JOINT_NAMES`; see `JointOrder.to_pose`."""
    return COCO_ORDER.to_pose(joints_xyv, min_confidence)


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
    missing = (confidence <= 0) | ~present_joints(pose)
    return np.where(missing[:, None], MISSING, pose), np.where(missing, 0.0, confidence)


def mirror_pose(pose: Pose, width: int) -> Pose:
    """Return the pose of the same person in the image flipped left to right.

    Left and right joints are swapped too: in a mirror, the left hand is a right hand.

    Args:
        pose: (18, 2) as (y, x), pixels; missing: -1.
        width: width of the image, pixels.
    """
    mirrored: Pose = pose[list(MIRRORED)]
    present = present_joints(mirrored)
    mirrored[present, 1] = width - 1 - mirrored[present, 1]
    return mirrored
