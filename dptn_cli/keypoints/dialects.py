"""Recognise which tool wrote a JSON pose file, and read the people in it."""

from collections.abc import Iterator
from typing import Any

from dptn_cli.errors import InputError
from dptn_cli.keypoints import coco, openpose
from dptn_cli.keypoints.image_names import normalize_name
from dptn_cli.keypoints.joints import JointOrder, named_order, names_in_order
from dptn_cli.keypoints.json_file import PeopleByImage, describe, has_box, images_of, parse_size
from dptn_cli.keypoints.person_json import SCORES_KEYS, keypoints_of, scores_of

_OPENPOSE_KEYS = ("people", "bodies")  # OpenPose and its followers; AlphaPose's `cmu` format
_FRAME_KEYS = ("predictions", "instances")  # openpifpaf's and mmpose's videos
_FRAME_NUMBERS = ("frame", "frame_id", "frame_number")
_FRAME_DIGITS = 6


class NotAPoseFile(InputError):
    """A JSON file is in no known format of poses."""


def read_document(document: Any, name: str) -> PeopleByImage:
    """Read a JSON pose file of any format.

    Args:
        document: the file's content.
        name: the image that the file's name suggests, for formats of one image. The frames of
            a video are named after it: `walk_000000`, `walk_000001`, ...

    Raises:
        NotAPoseFile: the format is not known.
        InputError: the format is known, but the file cannot be read.
    """
    if isinstance(document, dict):
        people = _read_object(document, name)
    elif isinstance(document, list):
        people = _read_list(document, name)
    else:
        people = None
    if people is None:
        raise NotAPoseFile(f"not a pose file: found {describe(document)}")
    people.pass_over_broken()
    return people


def _read_object(document: dict[str, Any], name: str) -> PeopleByImage | None:
    if {"images", "annotations"} <= document.keys():
        return coco.read_annotations(document)
    if _is_frame(document):
        return _read_frames([document], name)
    if isinstance(document.get("instance_info"), list):  # mmpose
        entries, order = document["instance_info"], _mmpose_order(document)
        if any(isinstance(entry, dict) and _is_frame(entry) for entry in entries):
            return _read_frames(entries, name, order)
        return coco.read_predictions(entries, name, parse_size(document), order)
    if (values := keypoints_of(document)) is not None:
        if "image_id" in document or "file_name" in document:
            return coco.read_results([document])
        persons = _people_of(values, scores_of(document)) or [document]
        is_person = persons == [document]
        size = None if is_person and has_box(document) else parse_size(document)
        return coco.read_predictions(persons, name, size)
    if document and all(isinstance(each, dict) and _is_frame(each) for each in document.values()):
        # AlphaPose's `cmu` format: the images by name.
        return _read_frames([{**each, "file_name": key} for key, each in document.items()], name)
    return None


def _people_of(values: object, scores: list[Any] | None = None) -> list[dict[str, Any]]:
    """Return an entry for each person if keypoints are those of several: [[[x, y], ...], ...].

    Args:
        values: the keypoints.
        scores: the confidences that stand beside them, for each person.
    """
    if not isinstance(values, list) or not all(
        isinstance(person, list) and person and isinstance(person[0], list | dict)
        for person in values
    ):
        return []
    if scores is None or len(scores) != len(values):
        return [{"keypoints": person} for person in values]
    return [
        {"keypoints": person, SCORES_KEYS[0]: confidences}
        for person, confidences in zip(values, scores, strict=True)
    ]


def _read_list(document: list[Any], name: str) -> PeopleByImage | None:
    objects = [entry for entry in document if isinstance(entry, dict)]
    if any(_is_frame(entry) for entry in objects):
        return _read_frames(document, name)
    if any("image_id" in entry or "file_name" in entry for entry in objects):
        return coco.read_results(document)
    is_all_objects = bool(document) and len(objects) == len(document)
    if is_all_objects and (frames := _by_frame(objects)):
        return _read_frames(frames, name)
    if is_all_objects and (names := images_of(objects)):
        return coco.read_results(
            [{**entry, "file_name": own} for entry, own in zip(objects, names, strict=True)]
        )
    if not document or any(keypoints_of(entry) is not None for entry in objects):
        return coco.read_predictions(document, name)
    if any({"box", "bbox"} & entry.keys() for entry in objects):  # a detector without keypoints
        return coco.read_predictions(document, name)
    if objects and {"x", "y"} <= objects[0].keys():  # the landmarks of one person
        return coco.read_predictions([{"keypoints": document}], name)
    if persons := _people_of(document):
        return coco.read_predictions(persons, name)
    return None


def _by_frame(persons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Group the people of a video by the frame that each names; empty if one names none."""
    frames: dict[int, list[dict[str, Any]]] = {}
    for person in persons:
        number = _frame_number(person)
        if number is None:
            return []
        frames.setdefault(number, []).append(person)
    return [
        {_FRAME_NUMBERS[0]: number, _FRAME_KEYS[0]: people} for number, people in frames.items()
    ]


def _frame_number(entry: dict[str, Any]) -> int | None:
    return next((entry[key] for key in _FRAME_NUMBERS if type(entry.get(key)) is int), None)


def _is_frame(entry: dict[str, Any]) -> bool:
    return any(key in entry for key in _OPENPOSE_KEYS) or any(
        isinstance(entry.get(key), list) for key in _FRAME_KEYS
    )


def _read_frames(entries: list[Any], name: str, order: JointOrder | None = None) -> PeopleByImage:
    """Read a list with the people of one image each; one alone is the image `name` itself."""
    merged = PeopleByImage()
    named = list(_named_frames(entries, name))
    numbered = [frame_name for _, frame_name in named if frame_name.startswith(f"{name}_")]
    if numbered:
        merged.notes.append(
            f"its {len(numbered):,} frames are called {numbered[0]} to {numbered[-1]}"
        )
    for entry, frame_name in named:
        if any(key in entry for key in _OPENPOSE_KEYS):
            merged.merge(openpose.read_people(entry, frame_name))
        else:
            persons = _flatten(next(entry[key] for key in _FRAME_KEYS if key in entry))
            merged.merge(coco.read_predictions(persons, frame_name, parse_size(entry), order))
    return merged


def _flatten(persons: list[Any]) -> list[Any]:
    """Flatten the people of a batch, [[person, ...]], as mmpose writes them."""
    if all(isinstance(person, list) for person in persons):
        return [person for batch in persons for person in batch]
    return persons


def _named_frames(entries: list[Any], name: str) -> Iterator[tuple[dict[str, Any], str]]:
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not _is_frame(entry):
            raise InputError(f"frame {index}: expected people, found {describe(entry)}")
        named = (entry.get(key) for key in ("file_name", "image_name", "image_id"))
        own_name = next((n for v in named if isinstance(v, str) and (n := normalize_name(v))), "")
        if own_name or len(entries) == 1:
            yield entry, own_name or name
        else:
            number = _frame_number(entry)
            number = index if number is None else number
            yield entry, f"{name}_{number:0{_FRAME_DIGITS}}"


def _mmpose_order(document: dict[str, Any]) -> JointOrder | None:
    """Return the order of joints that `keypoint_id2name` gives in mmpose's `meta_info`."""
    meta = document.get("meta_info")
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(names, dict):
        return None
    order = named_order(names_in_order(names))
    if order is None:
        raise InputError("its joints are not a person's, according to keypoint_id2name")
    return order
