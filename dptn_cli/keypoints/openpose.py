"""OpenPose JSON: `people[].pose_keypoints_2d`, 18 (COCO) or 25 (BODY_25) joints of (x, y, c).

c is the confidence. OpenPose writes (0, 0, 0) for a joint that it did not find.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import BODY_25_ORDER, OPENPOSE_ORDER, mark_missing
from dptn_cli.keypoints.json_file import (
    MIN_CONFIDENCE,
    PeopleByImage,
    describe,
    off_origin,
    parse_size,
)
from dptn_cli.keypoints.person_json import parse_joints
from dptn_cli.types import FoundPose

KEY = "pose_keypoints_2d"
OLD_KEY = "pose_keypoints"  # of versions 1.0 and 1.1
VERSION = 1.3  # of OpenPose's file format
ORDERS = (OPENPOSE_ORDER, BODY_25_ORDER)


def read_people(document: dict[str, Any], name: str) -> PeopleByImage:
    """Read the people of one image.

    Args:
        document: the content of OpenPose's file, or of one that follows it (`people` with
            `pose_keypoints_2d`; AlphaPose's `bodies` with `joints`).
        name: the image's name.

    Raises:
        InputError: `people` is not a list.
    """
    entries = document["people"] if "people" in document else document["bodies"]
    entries = [] if entries is None else entries
    if not isinstance(entries, list):
        raise InputError(f"people: expected a list, found {describe(entries)}")
    size = parse_size(document)
    people = PeopleByImage({name: []})
    for number, entry in enumerate(entries):
        try:
            if not isinstance(entry, dict) or not {KEY, OLD_KEY, "joints"} & entry.keys():
                raise InputError(f"expected an object with {KEY}, found {describe(entry)}")
            values = next(entry[key] for key in (KEY, OLD_KEY, "joints") if key in entry)
            if not values:  # hands or a face alone
                people.passed_over["people without a body"] += 1
                continue
            pose, confidence = parse_joints(values, ORDERS, size)
        except InputError as error:
            people.broken.setdefault(name, f"people {number}: {error}")
            continue
        if confidence.any():
            people.add(FoundPose(name, pose, confidence, size))
    return people


def to_people(poses: Sequence[FoundPose]) -> dict[str, Any]:
    """Return the content of one image's file, in 18 joints."""
    return {"version": VERSION, "people": [_person(person) for person in poses]}


def _person(person: FoundPose) -> dict[str, Any]:
    pose, confidence = mark_missing(person.pose, person.confidence)
    joints_xyc = np.column_stack([pose[:, ::-1], np.maximum(confidence, MIN_CONFIDENCE)])
    joints_xyc[confidence == 0] = 0
    numbers = off_origin(joints_xyc).ravel()
    return {"person_id": [-1], KEY: [round(float(value), 3) for value in numbers]}
