"""COCO keypoint JSON, 17 joints of (x, y, v): annotations, results, openpifpaf's predictions.

See https://cocodataset.org/#format-data. v is 0 where a joint is missing. In annotations, 1 is
a hidden joint and 2 a visible one; in results and predictions, v is a confidence.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.keypoints.joints import COCO_JOINTS, COCO_NAMES, from_coco, to_coco
from dptn_cli.keypoints.json_file import (
    MIN_CONFIDENCE,
    PeopleByImage,
    describe,
    parse_joints,
    parse_size,
    round_number,
)
from dptn_cli.types import FoundPose, Size

ID_DIGITS = 12  # COCO's image 139 is named 000000000139.jpg
# Limbs as pairs of joint numbers, counted from 1, in the order of COCO's own files.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def read_annotations(document: dict[str, Any]) -> PeopleByImage:
    """Read an annotation file: `images` with file names, `annotations` with keypoints.

    Crowds and people without a labelled joint are skipped.

    Raises:
        InputError: `images` or `annotations` is not a list of objects, an image has no name,
            or an annotation refers to no image.
    """
    images: dict[str, tuple[str, Size | None]] = {}
    for number, entry in enumerate(_check_objects(document["images"], "images")):
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise InputError(f"images {number}: no file_name")
        images[str(entry.get("id"))] = (name, parse_size(entry))
    people = PeopleByImage()
    for number, entry in enumerate(_check_objects(document["annotations"], "annotations")):
        image = images.get(str(entry.get("image_id")))
        if image is None:
            raise InputError(f"annotation {number}: no image has the id {entry.get('image_id')!r}")
        if not entry.get("iscrowd"):
            _add_person(people, entry, *image)
    return people


def read_results(entries: list[Any]) -> PeopleByImage:
    """Read a result file: a list of people, each with its `image_id` or `file_name`.

    A whole number as `image_id` is one of COCO's own images; a string is the image's name.

    Raises:
        InputError: an entry is not an object, or names no image.
    """
    people = PeopleByImage()
    for number, entry in enumerate(_check_objects(entries, "results")):
        name = entry.get("file_name", entry.get("image_id"))
        if type(name) is int and 0 <= name < 10**ID_DIGITS:
            name = f"{name:0{ID_DIGITS}}"
        if not isinstance(name, str) or not name:
            raise InputError(f"result {number}: neither image_id nor file_name names the image")
        _add_person(people, entry, name)
    return people


def read_predictions(entries: list[Any], name: str) -> PeopleByImage:
    """Read the people of one image, as openpifpaf's `--json-output` writes them.

    Raises:
        InputError: an entry is not an object.
    """
    people = PeopleByImage({name: []})
    for entry in _check_objects(entries, "people"):
        _add_person(people, entry, name)
    return people


def _check_objects(entries: object, key: str) -> list[dict[str, Any]]:
    """Return `entries` if it is a list of JSON objects; `key` names it in the error."""
    if not isinstance(entries, list):
        raise InputError(f"{key}: expected a list, found {describe(entries)}")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f"{key} {number}: expected an object, found {describe(entry)}")
    return entries


def _add_person(
    people: PeopleByImage, entry: dict[str, Any], name: str, size: Size | None = None
) -> None:
    """Add an entry's person to the image `name`, or mark the image as broken."""
    try:
        if "keypoints" not in entry:
            raise InputError(f"expected keypoints, found {describe(entry)}")
        pose, confidence = from_coco(parse_joints(entry["keypoints"], (COCO_JOINTS,)))
    except InputError as error:
        people.broken.setdefault(name, str(error))
        return
    people.people.setdefault(name, [])
    if confidence.any():
        people.add(FoundPose(name, pose, confidence, size))


def to_annotations(poses: Sequence[FoundPose]) -> dict[str, Any]:
    """Return the content of an annotation file; people with the same name share an image.

    Every joint that is present has a v of 2, because annotations have no confidence per joint.
    The mean confidence is written as `score`.
    """
    ids: dict[str, int] = {}
    images, annotations = [], []
    for number, person in enumerate(poses, start=1):
        if person.name not in ids:
            ids[person.name] = len(ids) + 1
            size = person.image_size
            sides = {"height": size[0], "width": size[1]} if size else {}
            images.append({"id": ids[person.name], "file_name": person.name, **sides})
        annotations.append(
            {"id": number, "image_id": ids[person.name], **_annotated_person(person)}
        )
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": [name.replace(" ", "_") for name in COCO_NAMES],
        "skeleton": [list(limb) for limb in SKELETON],
    }
    return {"images": images, "annotations": annotations, "categories": [category]}


def to_results(poses: Sequence[FoundPose]) -> list[dict[str, Any]]:
    """Return the content of a result file; v is the confidence.

    `image_id` is the number of an image that is named like COCO's own, else the image's name.
    """
    results = []
    for person in poses:
        stem = without_image_suffix(person.name)
        is_coco_name = stem.isascii() and stem.isdigit() and len(stem) == ID_DIGITS
        image_id = int(stem) if is_coco_name else person.name
        results.append({"image_id": image_id, "file_name": person.name, **_scored_person(person)})
    return results


def to_predictions(poses: Sequence[FoundPose]) -> list[dict[str, Any]]:
    """Return one image's people in the form of openpifpaf's `--json-output`."""
    return [_scored_person(person) for person in poses]


def _scored_person(person: FoundPose) -> dict[str, Any]:
    """Return a person of a result file: v is the confidence."""
    joints_xyv, entry = to_coco(person.pose, person.confidence), _annotated_person(person)
    present = joints_xyv[:, 2] > 0
    joints_xyv[present, 2] = np.maximum(joints_xyv[present, 2], MIN_CONFIDENCE)
    return {
        "category_id": entry["category_id"],
        "keypoints": [round_number(value) for value in joints_xyv.ravel()],
        "bbox": entry["bbox"],
        "score": entry["score"],
    }


def _annotated_person(person: FoundPose) -> dict[str, Any]:
    """Return a person of an annotation file: v is 2 or 0, `bbox` is (x, y, width, height)."""
    joints_xyv = to_coco(person.pose, person.confidence)
    present = joints_xyv[:, 2] > 0
    score = float(joints_xyv[present, 2].mean()) if present.any() else 0.0
    joints_xyv[present, 2] = 2
    box = np.zeros(4)
    if present.any():
        low, high = joints_xyv[present, :2].min(axis=0), joints_xyv[present, :2].max(axis=0)
        box = np.concatenate([low, high - low])
    return {
        "category_id": 1,
        "keypoints": [round_number(value) for value in joints_xyv.ravel()],
        "num_keypoints": int(present.sum()),
        "bbox": [round_number(value) for value in box],
        "area": round_number(box[2] * box[3]),
        "iscrowd": 0,
        "score": round_number(score),
    }
