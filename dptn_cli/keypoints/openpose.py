"""OpenPose JSON: `people[].pose_keypoints_2d`, 18 (COCO) or 25 (BODY_25) joints of (x, y, c).

A joint that OpenPose did not find is (0, 0, 0): it is the confidence of 0 that makes it missing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import Confidence, without_missing
from dptn_cli.keypoints.json_file import PeopleByImage, found_pose, kind_of, triples
from dptn_cli.types import JOINTS, FoundPose, Pose

KEY = "pose_keypoints_2d"
VERSION = 1.3
BODY_25_JOINTS = 25
MIN_WRITTEN = 0.001  # a smaller confidence would be written as the 0 of a missing joint
# BODY_25 has the middle of the hips at 8, which shifts what follows, and the feet at the end.
_OF_BODY_25 = [*range(8), *range(9, 19)]


def read_people(document: dict[str, Any], name: str) -> PeopleByImage:
    """Read the file of one image.

    Raises:
        InputError: `people` is no list.
    """
    people = document["people"]
    if not isinstance(people, list):
        raise InputError(f"people: a list expected, found {kind_of(people)}")
    found = PeopleByImage({name: []})
    for number, person in enumerate(people):
        try:
            if not isinstance(person, dict) or KEY not in person:
                raise InputError(f"an object with {KEY} expected, found {kind_of(person)}")
            joints = _as_18(triples(person[KEY], (JOINTS, BODY_25_JOINTS)))
        except InputError as error:
            found.broken.setdefault(name, f"people {number}: {error}")
            break
        if joints[1].any():
            found.add(found_pose(name, joints))
    return found


def _as_18(joints_xyc: npt.NDArray[np.float64]) -> tuple[Pose, Confidence]:
    if len(joints_xyc) == BODY_25_JOINTS:
        joints_xyc = joints_xyc[_OF_BODY_25]
    return without_missing(joints_xyc[:, 1::-1], np.clip(joints_xyc[:, 2], 0, 1))


def people_of(poses: Sequence[FoundPose]) -> dict[str, Any]:
    """The file of one image with these people, in 18 joints."""
    return {"version": VERSION, "people": [_person(found) for found in poses]}


def _person(found: FoundPose) -> dict[str, Any]:
    pose, confidence = without_missing(found.pose, found.confidence)
    there = confidence > 0
    joints_xyc = np.column_stack([pose[:, ::-1], np.maximum(confidence, MIN_WRITTEN)])
    joints_xyc[~there] = 0
    return {"person_id": [-1], KEY: [round(float(value), 3) for value in joints_xyc.ravel()]}
