"""OpenPose JSON: `people[].pose_keypoints_2d`, 18 (COCO) or 25 (BODY_25) joints of (x, y, c).

c is the confidence. OpenPose writes (0, 0, 0) for a joint that it did not find: the 0 confidence,
not the coordinates, says that the joint is missing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import mark_missing
from dptn_cli.keypoints.json_file import MIN_CONFIDENCE, PeopleByImage, describe, parse_joints
from dptn_cli.types import JOINTS, FoundPose

KEY = "pose_keypoints_2d"
VERSION = 1.3  # of OpenPose's file format
BODY_25_JOINTS = 25
# BODY_25 inserts the mid hip at 8, which shifts the joints after it, and appends the feet.
_FROM_BODY_25 = [*range(8), *range(9, 19)]


def read_people(document: dict[str, Any], name: str) -> PeopleByImage:
    """Read the people of one image.

    Args:
        document: the content of OpenPose's file.
        name: the image's name.

    Raises:
        InputError: `people` is not a list.
    """
    entries = document["people"]
    if not isinstance(entries, list):
        raise InputError(f"people: expected a list, found {describe(entries)}")
    people = PeopleByImage({name: []})
    for number, entry in enumerate(entries):
        try:
            if not isinstance(entry, dict) or KEY not in entry:
                raise InputError(f"expected an object with {KEY}, found {describe(entry)}")
            joints_xyc = parse_joints(entry[KEY], (JOINTS, BODY_25_JOINTS))
        except InputError as error:
            people.broken.setdefault(name, f"people {number}: {error}")
            break
        if len(joints_xyc) == BODY_25_JOINTS:
            joints_xyc = joints_xyc[_FROM_BODY_25]
        pose, confidence = mark_missing(joints_xyc[:, 1::-1], np.clip(joints_xyc[:, 2], 0, 1))
        if confidence.any():
            people.add(FoundPose(name, pose, confidence))
    return people


def to_people(poses: Sequence[FoundPose]) -> dict[str, Any]:
    """Return the content of one image's file, in 18 joints."""
    return {"version": VERSION, "people": [_person(person) for person in poses]}


def _person(person: FoundPose) -> dict[str, Any]:
    pose, confidence = mark_missing(person.pose, person.confidence)
    joints_xyc = np.column_stack([pose[:, ::-1], np.maximum(confidence, MIN_CONFIDENCE)])
    joints_xyc[confidence == 0] = 0
    return {"person_id": [-1], KEY: [round(float(value), 3) for value in joints_xyc.ravel()]}
