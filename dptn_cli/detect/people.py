"""The choice of one person in an image that shows nobody, one person or several people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Person
from dptn_cli.keypoints import from_coco, present_joints
from dptn_cli.keypoints.largest import size_key
from dptn_cli.types import FoundPose, Pose, Size

MIN_JOINTS = 5


@dataclass(frozen=True)
class PersonChoice:
    """The rules by which one person is chosen in each image.

    Attributes:
        person: which of several people to choose. `LARGEST`: the largest, as `person_size`
            measures it; `BEST`: the highest score of the detector; `CENTER`: the closest to the
            image center; `ERROR`: none, so that the image fails.
        min_joints: people with fewer of the 18 joints are ignored.
        threshold: joints with a confidence below this (0 to 1) are missing; None for the
            detector's own.
    """

    person: Person = Person.LARGEST
    min_joints: int = MIN_JOINTS
    threshold: float | None = None

    def with_threshold(self, min_confidence: float) -> "PersonChoice":
        """Return the same rules, with a threshold where there is none."""
        return self if self.threshold is not None else replace(self, threshold=min_confidence)


@dataclass(frozen=True)
class Detection:
    """The result of looking for people in one image.

    Attributes:
        name: the image's name.
        people: number of people found, including those with too few joints.
        found_pose: the pose of the chosen person; None if no person was chosen.
        reason: why no person was chosen; empty if one was.
        is_transient: whether another try may succeed with the same image.
    """

    name: str
    people: int = 0
    found_pose: FoundPose | None = None
    reason: str = ""
    is_transient: bool = False


@dataclass(frozen=True)
class DetectedPerson:
    """One person in an image, as the detector returns it.

    Attributes:
        joints_xyv: (17, 3) array of (x, y, confidence) in COCO's joint order; x and y in pixels
            of the image on disk.
        score: the detector's confidence in the whole person, 0 to 1.
    """

    joints_xyv: npt.NDArray[np.float64]
    score: float


def choose_person(
    name: str, people: Sequence[DetectedPerson], size: Size, choice: PersonChoice
) -> Detection:
    """Choose one of the people in an image.

    Args:
        name: the image's name.
        people: everyone who was detected in it.
        size: (height, width) of the image, pixels.
        choice: the rules to choose by.

    Returns:
        The chosen person's pose, or the reason why nobody was chosen.
    """
    count = len(people)
    if not count:
        return Detection(name, reason="no person found")
    poses = [from_coco(person.joints_xyv, choice.threshold or 0.0) for person in people]
    joint_counts = [int((confidence > 0).sum()) for _, confidence in poses]
    usable = [i for i, joints in enumerate(joint_counts) if joints >= choice.min_joints]
    if not usable:
        who = "the person" if count == 1 else f"the most complete of {count} people"
        reason = f"{who} has {max(joint_counts)} joints, fewer than {choice.min_joints}"
        return Detection(name, count, reason=reason)
    if choice.person is Person.ERROR and len(usable) > 1:
        return Detection(name, count, reason=f"{len(usable)} people found, but only one is allowed")
    score: dict[int, float] = {}
    if choice.person == Person.BEST:
        score = {i: people[i].score for i in usable}
    if choice.person == Person.CENTER:
        score = {i: -_distance_to_center(poses[i][0], size) for i in usable}
    chosen = max(usable, key=lambda i: (score.get(i, 0.0), size_key(poses[i][0])))
    pose, confidence = poses[chosen]
    return Detection(name, count, FoundPose(name, pose, confidence, size, count))


def _bounding_box(pose: Pose) -> tuple[Pose, Pose]:
    """Return the smallest and the largest (y, x) of the visible joints."""
    visible = pose[present_joints(pose)]
    return visible.min(axis=0), visible.max(axis=0)


def _distance_to_center(pose: Pose, size: Size) -> float:
    """Return the distance from the bounding box's center to the image's center, pixels."""
    low, high = _bounding_box(pose)
    return float(np.hypot(*((low + high) / 2 - (np.array(size) - 1) / 2)))
