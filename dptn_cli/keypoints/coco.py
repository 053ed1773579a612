"""COCO keypoint JSON, 17 joints of (x, y, v): annotations, results, openpifpaf's predictions.

See https://cocodataset.org/#format-data. v is 0 where a joint is missing. In annotations, 1 is
a hidden joint and 2 a visible one; in results and predictions, v is a confidence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.keypoints.image_names import ID_DIGITS, normalize_name
from dptn_cli.keypoints.joints import (
    COCO_JOINTS,
    COCO_NAMES,
    COCO_ORDER,
    JOINT_NAMES,
    JointOrder,
    joint_of_name,
    named_order,
    names_in_order,
    to_coco,
)
from dptn_cli.keypoints.json_file import (
    MIN_CONFIDENCE,
    PeopleByImage,
    describe,
    has_box,
    image_of,
    off_origin,
    parse_size,
    round_number,
)
from dptn_cli.keypoints.network_grid import present_joints
from dptn_cli.keypoints.person_json import keypoints_of, list_names, parse_person
from dptn_cli.types import FoundPose, Size

# Limbs as pairs of joint numbers, counted from 1, in the order of COCO's own files.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip

JOINTS_REACH = 1.2  # sides of an image; detectors place joints somewhat beyond its edge


def read_annotations(document: dict[str, Any]) -> PeopleByImage:
    """Read an annotation file: `images` with file names, `annotations` with keypoints.

    The joints are in the order that `categories[].keypoints` names. Counted and passed over are
    crowds, and annotations without keypoints, of images that the file does not list or name, and
    of other categories than persons.

    Raises:
        InputError: `images` or `annotations` is not a list, two images have the same id, or no
            annotation can be used because its joints are not a person's.
    """
    people = PeopleByImage()
    images = _read_images(document["images"], people)
    categories, unknown_category = _read_categories(document.get("categories"), people)
    for entry in _objects(document["annotations"], "annotations", people):
        found = images.get(_id(entry.get("image_id")))
        category = categories.get(_id(entry.get("category_id")), unknown_category)
        if found is None:
            people.passed_over["annotations of no image"] += 1
        elif not category.is_person:
            people.passed_over["annotations of other things than people"] += 1
        elif _id(entry.get("iscrowd")) in ("1", "True"):
            people.passed_over["crowds"] += 1
        else:
            add_person(people, entry, found[0], found[1], category.order, category.problem)
    # Tools write annotations without keypoints, such as boxes, with all joints missing.
    for name in [name for name, persons in people.people.items() if not persons]:
        del people.people[name]
        people.passed_over["images without a labelled joint"] += 1
    problems = [category.problem for category in categories.values() if category.problem]
    if problems and people.broken and not people.people:
        raise InputError(problems[0])
    return people


def _read_images(entries: object, people: PeopleByImage) -> dict[str, tuple[str, Size | None]]:
    """Return name and size of each image, by its id."""
    images: dict[str, tuple[str, Size | None]] = {}
    for entry in _objects(entries, "images", people):
        name = entry.get("file_name")
        if not isinstance(name, str) or not normalize_name(name):
            people.passed_over["images without a file_name"] += 1
        elif entry.get("id") is None:
            people.passed_over["images without an id"] += 1
        else:
            image = images.setdefault(_id(entry["id"]), (normalize_name(name), parse_size(entry)))
            if image[0] != normalize_name(name):
                raise InputError(f"the image id {entry['id']!r} is that of {image[0]} and {name}")
    return images


@dataclass(frozen=True)
class _Category:
    """What a category says about the joints of its annotations.

    Attributes:
        is_person: False for a category of other things, beside one of persons.
        order: the order of the joints; None if the category does not tell.
        problem: why the joints cannot be used; empty if they can.
    """

    is_person: bool = True
    order: JointOrder | None = None
    problem: str = ""


_PERSON_WORDS = {"person", "persons", "people", "human", "humans", "pedestrian", "man", "woman"}


def _read_categories(
    entries: object, people: PeopleByImage
) -> tuple[dict[str, _Category], _Category]:
    """Read which categories are persons, and the order of their joints.

    Returns:
        The categories by id, and the one to use for annotations of an unknown category.
    """
    named = (
        [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    has_persons = any(map(_is_called_person, named))
    categories = {}
    for entry in named:
        names = names_in_order(entry.get("keypoints"))
        order = named_order(names)
        category = _Category(is_person=False)
        if order or _is_called_person(entry) or not has_persons:
            category = _Category(order=order) if order else _without_order(entry, names, people)
            people.notes += _lacking_joints(names, order)
        categories[_id(entry.get("id"))] = category
    if any(category.is_person and not category.problem for category in categories.values()):
        # The joints of animals and things beside people are no problem.
        for id_, category in categories.items():
            if category.problem:
                categories[id_] = _Category(is_person=False)
    unknown = _only_order(categories)
    for id_, category in categories.items():
        if category == _Category():
            categories[id_] = unknown
    return categories, unknown


def _is_called_person(entry: dict[str, Any]) -> bool:
    return bool(_PERSON_WORDS & set(re.findall("[a-z]+", str(entry.get("name")).lower())))


def _only_order(categories: dict[str, _Category]) -> _Category:
    """Return the category to use for annotations whose own does not give the order of joints."""
    orders = {category.order for category in categories.values() if category.order}
    if len(orders) > 1:
        return _Category(problem="its category does not say which of several joint orders it uses")
    return _Category(order=orders.pop() if orders else None)


def _without_order(entry: dict[str, Any], names: list[str], people: PeopleByImage) -> _Category:
    """Return the category of an entry whose joints have no names, or not those of a person."""
    if not names:
        return _Category()
    # Numbers as names say nothing. Nearly all tools keep COCO's own order.
    if len(names) == COCO_JOINTS and not any(re.search("[a-z]{3}", name.lower()) for name in names):
        people.notes.append(f"joints named {list_names(names)}: COCO's order is assumed")
        return _Category(order=COCO_ORDER)
    return _Category(
        problem=f"the category {str(entry.get('name'))[:40]!r} has the joints {list_names(names)}: "
        "too few of them are a person's"
    )


def _lacking_joints(names: list[str], order: JointOrder | None) -> list[str]:
    """Name the joints that an order lacks, if some names in the file were not understood."""
    if order is None:
        return []
    unknown = [name for name in names if not joint_of_name(name)]
    lacking = [j for j in COCO_NAMES if order.positions[JOINT_NAMES.index(j)] < 0]
    if not unknown or not lacking:
        return []
    return [
        f"no {', '.join(lacking)[:100]} among its joints; not understood: "
        f"{', '.join(unknown)[:100]}"
    ]


def _id(value: object) -> str:
    """Return an id as text, the same for 1, 1.0, "1" and "01", as tables and tools rewrite it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text


def read_results(entries: list[Any]) -> PeopleByImage:
    """Read a result file: a list of people, each with its image; see `image_of`."""
    people = PeopleByImage()
    for entry in _objects(entries, "results", people):
        if name := image_of(entry):
            add_person(people, entry, name)
        else:
            people.passed_over["results that name no image"] += 1
    return people


def read_predictions(
    entries: list[Any],
    name: str,
    size: Size | None = None,
    order: JointOrder | None = None,
) -> PeopleByImage:
    """Read the people of one image, as openpifpaf, mmpose and Ultralytics write them.

    Args:
        entries: the people.
        name: the image's name.
        size: (height, width) of the image, pixels; None if only the people's entries may state it.
        order: the order of the joints; None to tell it by their number.
    """
    people = PeopleByImage()
    for entry in _objects(entries, "people", people):
        add_person(people, entry, name, size, order)
    if not people.passed_over:  # the tool looked, and found nobody
        people.people.setdefault(name, [])
    return people


def _objects(entries: object, key: str, people: PeopleByImage) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a list, and count the rest; `key` names the list in the error."""
    if not isinstance(entries, list):
        raise InputError(f"{key}: expected a list, found {describe(entries)}")
    for entry in entries:
        if isinstance(entry, dict):
            yield entry
        else:
            people.passed_over["entries that are no objects"] += 1


def add_person(
    people: PeopleByImage,
    entry: dict[str, Any],
    name: str,
    size: Size | None = None,
    order: JointOrder | None = None,
    problem: str = "",
) -> None:
    """Add an entry's person to an image, or mark the image as broken.

    Entries without keypoints are counted and passed over. A person whose joints are all missing
    is nobody.

    Args:
        people: receives the person.
        entry: the person's entry in the file.
        name: the image's name.
        size: (height, width) of the image, pixels; None if the file does not say.
        order: the order of the joints; None to tell it by their number.
        problem: why keypoints of this kind cannot be used; empty if they can.
    """
    if keypoints_of(entry) is None:
        people.passed_over["entries without keypoints"] += 1
        return
    try:
        if problem:
            raise InputError(problem)
        size = size or _size_of_image(entry, order)
        pose, confidence = parse_person(entry, order, size)
    except InputError as error:
        people.broken.setdefault(name, str(error))
        return
    if confidence.any():
        people.add(FoundPose(name, pose, confidence, size))
    else:
        people.people.setdefault(name, [])  # the tool looked, and found nobody


def _size_of_image(entry: dict[str, Any], order: JointOrder | None) -> Size | None:
    """Return the (height, width) of the image that a person's entry states, or None.

    A plain width and height may be those of a box around the person. They are the image's if no
    joint is far beyond them, or the joints are fractions.
    """
    plain = parse_size(entry)
    if plain is None:
        return None
    if stated := parse_size(entry, plain=False):
        return stated
    try:
        pose, _ = parse_person(entry, order, None)
    except InputError:  # fractions, or broken whatever the size
        return plain
    is_inside = bool((pose[present_joints(pose)] <= JOINTS_REACH * np.array(plain)).all())
    return plain if is_inside and not has_box(entry) else None


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


def _joints_of(person: FoundPose) -> npt.NDArray[np.float64]:
    """Return (17, 3) as (x, y, v), in which only missing joints read as missing."""
    return off_origin(to_coco(person.pose, person.confidence))


def _scored_person(person: FoundPose) -> dict[str, Any]:
    """Return a person of a result file: v is the confidence."""
    joints_xyv, entry = _joints_of(person), _annotated_person(person)
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
    joints_xyv = _joints_of(person)
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
