"""Whose pose counts, when an image shows nobody, somebody or several people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Person
from dptn_cli.keypoints import from_coco
from dptn_cli.types import FoundPose, Pose, Size

MIN_JOINTS = 5
MIN_CONFIDENCE = 0.15


@dataclass(frozen=True)
class Choice:
    """What counts as a person, and which one is taken.

    Attributes:
        person: the largest, the one the detector is surest of (`best`), the one nearest to the
            image's middle (`center`); or `error`, no one where there are several.
        min_joints: with fewer of the 18 joints it is no pose to work with.
        threshold: a joint of less confidence (0..1) is missing.
    """

    person: Person = Person.LARGEST
    min_joints: int = MIN_JOINTS
    threshold: float = MIN_CONFIDENCE


@dataclass(frozen=True)
class Detection:
    """What was found on one image.

    Attributes:
        name: of the image.
        people: how many were found, those with too few joints included.
        found: the pose of the one that was chosen, or None.
        reason: why there is none; empty where there is one.
    """

    name: str
    people: int = 0
    found: FoundPose | None = None
    reason: str = ""


@dataclass(frozen=True)
class Body:
    """One person as a detector gives it.

    Attributes:
        joints_xyv: (17, 3) as (x, y, confidence) in COCO's order, pixels of the image.
        score: of the person as a whole, 0..1.
    """

    joints_xyv: npt.NDArray[np.float64]
    score: float


def choose(name: str, bodies: Sequence[Body], size: Size, choice: Choice) -> Detection:
    """Take one of the people on an image of this size, or say why none."""
    people = len(bodies)
    if not people:
        return Detection(name, reason="no person found")
    poses = [from_coco(body.joints_xyv, choice.threshold) for body in bodies]
    joints = [int((confidence > 0).sum()) for _, confidence in poses]
    usable = [i for i, count in enumerate(joints) if count >= choice.min_joints]
    if not usable:
        whose = "the person" if people == 1 else f"the fullest of {people} people"
        reason = f"{whose} has {max(joints)} joints, fewer than {choice.min_joints}"
        return Detection(name, people, reason=reason)
    if choice.person is Person.ERROR and len(usable) > 1:
        reason = f"{len(usable)} people found, and one was asked for"
        return Detection(name, people, reason=reason)
    ranks = {
        Person.BEST: lambda i: bodies[i].score,
        Person.CENTER: lambda i: -_distance_to_middle(poses[i][0], size),
    }
    chosen = max(usable, key=ranks.get(choice.person, lambda i: _area(poses[i][0])))
    pose, confidence = poses[chosen]
    return Detection(name, people, FoundPose(name, pose, confidence, size, people))


def _box(pose: Pose) -> tuple[Pose, Pose]:
    """The lowest and highest (y, x) of the joints that are there."""
    seen = pose[(pose != -1).any(axis=1)]
    return seen.min(axis=0), seen.max(axis=0)


def _area(pose: Pose) -> float:
    low, high = _box(pose)
    return float(np.prod(high - low + 1))


def _distance_to_middle(pose: Pose, size: Size) -> float:
    low, high = _box(pose)
    return float(np.hypot(*((low + high) / 2 - (np.array(size) - 1) / 2)))
