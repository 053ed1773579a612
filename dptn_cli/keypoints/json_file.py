"""Shared by the JSON pose formats: reading untrusted files within limits, and their people."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.io.storage import storage_of
from dptn_cli.io.text_lines import encoding_of
from dptn_cli.keypoints.image_names import name_of_number, normalize_name
from dptn_cli.types import FoundPose, Size

MAX_BYTES = 256 << 20  # COCO's largest keypoint file has 239 MB
MAX_CONTAINERS = 4_000_000  # `[]` is 2 bytes in the file, but 56 in memory
MAX_PEOPLE = 1000  # in one image
MAX_SIDE_PX = 100_000
# Smaller numbers would be rounded to the 0 that means "missing".
MIN_CONFIDENCE = MIN_OFFSET_PX = 0.001


@dataclass
class PeopleByImage:
    """The people in one pose file.

    Attributes:
        people: the people in each image, by image name; an empty list if nobody was found in
            it. Names are as in the file, and may lack the image's suffix.
        broken: why an image's people cannot be used, by image name.
        passed_over: number of entries that are no pose, by what they are, in the plural.
        notes: what was assumed, one line each.
        crowded: images with more people than are read.
    """

    people: dict[str, list[FoundPose]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    crowded: set[str] = field(default_factory=set)

    def add(self, person: FoundPose) -> None:
        """Add a person; an image with more than `MAX_PEOPLE` becomes a broken one."""
        people = self.people.setdefault(person.name, [])
        if len(people) == MAX_PEOPLE:
            self.broken.setdefault(person.name, f"more than {MAX_PEOPLE:,} people in an image")
            self.crowded.add(person.name)
        else:
            people.append(person)

    def merge(self, others: "PeopleByImage") -> None:
        """Add the people of another part of the same file."""
        for name, persons in others.people.items():
            self.people.setdefault(name, []).extend(persons)
        self.broken.update(others.broken)
        self.passed_over.update(others.passed_over)
        self.notes += others.notes
        self.crowded |= others.crowded

    def pass_over_broken(self) -> None:
        """Ignore, but count, broken keypoints in images that have usable ones."""
        for name in list(self.broken):
            if self.people.get(name) and name not in self.crowded:
                del self.broken[name]
                self.passed_over["broken keypoints beside usable ones"] += 1


def load_json(path: Path) -> Any:
    """Read a JSON file of limited size.

    Returns:
        The document; for JSON Lines, the list of the lines' documents.

    Raises:
        InputError: the file cannot be read, is too large, or is not JSON.
    """
    with user_errors(path):
        data = storage_of(path).read_bytes(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MiB; split it")
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS:
        raise InputError(f"{path}: more than {MAX_CONTAINERS:,} lists and objects; split it")
    try:
        return _parse(data.decode(encoding_of(data)))
    except RecursionError as error:
        raise InputError(f"{path}: nested more deeply than any pose file") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {str(error)[:200]}") from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for this machine's memory") from error


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        first_error = error
    documents: list[Any] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            documents += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            if not documents:  # not JSON Lines
                raise first_error from None
            raise ValueError(f"line {number}: {error.msg}: char {error.pos}") from error
    return documents


# What tools call the sides of the image or canvas, without separators.
_SIDE = re.compile(r"(canvas|image|img|frame|original|video|picture|)(width|height|w|h)")
_NESTED_SIZES = ("canvas", "size", "image_size", "resolution", "image")
# Names of sides that may also be those of a box around a person.
_PLAIN_SIDES = {"width", "height", "w", "h", "size"}
_BOX_PARTS = {"x", "left", "xmin", "cx", "xcenter", "centerx", "center", "bbox", "box"}


def parse_size(entry: dict[str, Any], *, plain: bool = True) -> Size | None:
    """Return the (height, width) that an image's entry states, or None if there is none.

    The sides are known under the names of all tools (`width`, `canvas_width`, `imageWidth`, ...),
    and may be numbers or text. Implausible sides count as none.

    Args:
        entry: the entry.
        plain: whether names count that do not say that they mean an image, such as `width`.
    """
    sides: dict[tuple[str, str], float] = {}
    for key, value in entry.items():
        letters = _letters(key)
        match = _SIDE.fullmatch(letters) if plain or letters not in _PLAIN_SIDES else None
        if match and (length := _parse_side(value)):
            sides[match[1], match[2][0]] = length
    for prefix in dict.fromkeys(prefix for prefix, _ in sides):
        if (prefix, "h") in sides and (prefix, "w") in sides:
            return round(sides[prefix, "h"]), round(sides[prefix, "w"])
    nested = (entry.get(key) for key in _NESTED_SIZES if plain or key not in _PLAIN_SIDES)
    return next((size for n in nested if isinstance(n, dict) and (size := parse_size(n))), None)


def has_box(entry: dict[str, Any]) -> bool:
    """Return whether an entry describes a box, to which a plain width and height may belong."""
    return not _BOX_PARTS.isdisjoint(map(_letters, entry))


@lru_cache(maxsize=1024)
def _letters(key: str) -> str:
    return re.sub(r"[^a-z]", "", key.lower())


def image_of(entry: dict[str, Any]) -> str:
    """Return the image that COCO's `file_name` or `image_id` names, normalized; empty if none.

    A whole number as `image_id` is one of COCO's own images, or a name that is a longer number.
    """
    for value in (entry.get("file_name"), entry.get("image_id")):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int and value >= 0:
            return name_of_number(value)
        if isinstance(value, str) and (name := normalize_name(value)):
            return name
    return ""


# What other tools call the image of an entry.
_IMAGE_KEYS = ("image_name", "filename", "image", "img_name", "image_path", "image_file")


def images_of(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Return the image that each entry names under other keys than COCO's, normalized.

    Returns:
        One name for each entry; empty if an entry names none, or all name the same: then the file
        is about one image, which may have been a copy with another name.
    """
    names: list[str] = []
    for entry in entries:
        values = [entry[key] for key in _IMAGE_KEYS if isinstance(entry.get(key), str)]
        if not values or without_image_suffix(values[0]) == values[0]:
            return []
        names.append(normalize_name(values[0]))
    return names if len(set(names)) > 1 else []


def _parse_side(value: object) -> float:
    """Return a side in pixels; 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        side = float(value)
    except (ValueError, OverflowError):
        return 0
    return side if math.isfinite(side) and 0.5 < side <= MAX_SIDE_PX else 0


def describe(value: object) -> str:
    """Say in a few words what a JSON value is, for error messages."""
    if isinstance(value, dict):
        keys = ", ".join(sorted(map(str, value))[:6])
        return f"an object with the keys {keys[:100]}" if keys else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value):,}, first {describe(value[0])}" if value else "an empty list"
    return f"{type(value).__name__} {str(value)[:30]!r}"


def off_origin(joints_xyv: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return joints (J, 3) with those that are present moved off (0, 0), which reads as missing."""
    joints_xyv = joints_xyv.copy()
    at_origin = (np.abs(joints_xyv[:, :2]) < MIN_OFFSET_PX).all(axis=1) & (joints_xyv[:, 2] > 0)
    joints_xyv[at_origin, :2] = MIN_OFFSET_PX
    return joints_xyv


def round_number(value: float) -> float | int:
    """Round to three decimals; a whole number becomes an int, and is written without `.0`."""
    return int(value) if value == int(value) else round(float(value), 3)
