"""COCO keypoint JSON, 17 joints of (x, y, v): annotations, results, and openpifpaf's own.

https://cocodataset.org/#format-data. v is 0 where a joint is missing; in annotations 1 is hidden
and 2 seen, in results v is a confidence.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.keypoints.joints import COCO_JOINTS, COCO_NAMES, from_coco, to_coco
from dptn_cli.keypoints.json_file import PeopleByImage, found_pose, kind_of, size_of, triples
from dptn_cli.types import FoundPose, Size

MIN_WRITTEN = 0.001  # a smaller confidence would be written as the 0 of a missing joint
DIGITS_OF_ID = 12  # COCO names image 139 000000000139.jpg
# Limbs by joint number from 1, in COCO's own order.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def read_annotations(document: dict[str, Any]) -> PeopleByImage:
    """Read an annotation file: `images` with file names, `annotations` with keypoints.

    Crowds are passed over, and people without a labelled joint too.

    Raises:
        InputError: lists that are none, an image without a name, an annotation of no image.
    """
    images = _images(document["images"])
    found = PeopleByImage()
    for number, entry in enumerate(_entries(document["annotations"], "annotations")):
        image = images.get(str(entry.get("image_id")))
        if image is None:
            raise InputError(f"annotation {number}: no image has the id {entry.get('image_id')!r}")
        if not entry.get("iscrowd"):
            _add(found, entry, *image)
    return found


def read_results(entries: list[Any]) -> PeopleByImage:
    """Read a result file: a list of people, each with its `image_id` or `file_name`.

    An `image_id` in digits stands for COCO's own image names, any other for itself.

    Raises:
        InputError: an entry that is no object, or of no image.
    """
    found = PeopleByImage()
    for number, entry in enumerate(_entries(entries, "results")):
        name = entry.get("file_name", entry.get("image_id"))
        if type(name) is int and 0 <= name < 10**DIGITS_OF_ID:
            name = f"{name:0{DIGITS_OF_ID}}"
        if not isinstance(name, str) or not name:
            raise InputError(f"result {number}: neither image_id nor file_name tells the image")
        _add(found, entry, name, None)
    return found


def read_predictions(entries: list[Any], name: str) -> PeopleByImage:
    """Read the people of one image, as openpifpaf's `--json-output` writes them.

    Raises:
        InputError: an entry that is no object.
    """
    found = PeopleByImage({name: []})
    for entry in _entries(entries, "people"):
        _add(found, entry, name, None)
    return found


def _entries(entries: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(entries, list):
        raise InputError(f"{what}: a list expected, found {kind_of(entries)}")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f"{what} {number}: an object expected, found {kind_of(entry)}")
    return entries


def _images(entries: object) -> dict[str, tuple[str, Size | None]]:
    images = {}
    for number, entry in enumerate(_entries(entries, "images")):
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise InputError(f"images {number}: no file_name")
        images[str(entry.get("id"))] = (name, size_of(entry))
    return images


def _add(found: PeopleByImage, entry: dict[str, Any], name: str, size: Size | None) -> None:
    try:
        if "keypoints" not in entry:
            raise InputError(f"keypoints expected, found {kind_of(entry)}")
        pose, confidence = from_coco(triples(entry["keypoints"], (COCO_JOINTS,)))
    except InputError as error:
        found.broken.setdefault(name, str(error))
        return
    found.people.setdefault(name, [])
    if confidence.any():
        found.add(found_pose(name, (pose, confidence), size))


def annotations_of(poses: Sequence[FoundPose]) -> dict[str, Any]:
    """An annotation file of these people; an image's people have its name in common.

    v is 2 for every joint that is there: the flags know no confidence, `score` has its mean.
    """
    ids: dict[str, int] = {}
    images, annotations = [], []
    for number, found in enumerate(poses, start=1):
        if found.name not in ids:
            ids[found.name] = len(ids) + 1
            images.append(_image(ids[found.name], found))
        annotations.append({"id": number, "image_id": ids[found.name], **_person(found)})
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": [name.replace(" ", "_") for name in COCO_NAMES],
        "skeleton": [list(limb) for limb in SKELETON],
    }
    return {"images": images, "annotations": annotations, "categories": [category]}


def results_of(poses: Sequence[FoundPose]) -> list[dict[str, Any]]:
    """A result file of these people; v is the confidence.

    An image that is named as COCO's are has its number for `image_id`, any other its name.
    """
    results = []
    for found in poses:
        stem = without_image_suffix(found.name)
        of_coco = stem.isascii() and stem.isdigit() and len(stem) == DIGITS_OF_ID
        image_id = int(stem) if of_coco else found.name
        results.append({"image_id": image_id, "file_name": found.name, **_scored(found)})
    return results


def predictions_of(poses: Sequence[FoundPose]) -> list[dict[str, Any]]:
    """The people of one image, as openpifpaf's `--json-output` has them."""
    return [_scored(found) for found in poses]


def _scored(found: FoundPose) -> dict[str, Any]:
    joints_xyv, person = to_coco(found.pose, found.confidence), _person(found)
    there = joints_xyv[:, 2] > 0
    joints_xyv[there, 2] = np.maximum(joints_xyv[there, 2], MIN_WRITTEN)
    return {
        "category_id": person["category_id"],
        "keypoints": [_short(value) for value in joints_xyv.ravel()],
        "bbox": person["bbox"],
        "score": person["score"],
    }


def _image(number: int, found: FoundPose) -> dict[str, Any]:
    size = found.image_size
    sides = {"height": size[0], "width": size[1]} if size else {}
    return {"id": number, "file_name": found.name, **sides}


def _person(found: FoundPose) -> dict[str, Any]:
    joints_xyv = to_coco(found.pose, found.confidence)
    there = joints_xyv[:, 2] > 0
    score = float(joints_xyv[there, 2].mean()) if there.any() else 0.0
    joints_xyv[there, 2] = 2
    box = np.zeros(4)
    if there.any():
        low, high = joints_xyv[there, :2].min(axis=0), joints_xyv[there, :2].max(axis=0)
        box = np.concatenate([low, high - low])
    return {
        "category_id": 1,
        "keypoints": [_short(value) for value in joints_xyv.ravel()],
        "num_keypoints": int(there.sum()),
        "bbox": [_short(value) for value in box],
        "area": _short(box[2] * box[3]),
        "iscrowd": 0,
        "score": _short(score),
    }


def _short(value: float) -> float | int:
    """To a thousandth of a pixel; whole numbers are written as such."""
    return int(value) if value == int(value) else round(float(value), 3)
