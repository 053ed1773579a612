"""Shared by the JSON pose formats: reading untrusted files within limits, and their people."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.storage import storage_of
from dptn_cli.types import FoundPose, Size

MAX_BYTES = 256 << 20  # COCO's largest keypoint file has 239 MB
MAX_CONTAINERS = 4_000_000  # `[]` is 2 bytes in the file, but 56 in memory
MAX_PEOPLE = 1000  # in one image
MAX_SIDE_PX = 100_000
MAX_COORDINATE_PX = 1e6
MIN_CONFIDENCE = 0.001  # a lower one would be rounded to the 0 that means "missing"


@dataclass
class PeopleByImage:
    """The people in one pose file.

    Attributes:
        people: the people in each image, by image name; an empty list if nobody was found in
            it. Names are as in the file, and may lack the image's suffix.
        broken: why an image's people cannot be used, by image name.
    """

    people: dict[str, list[FoundPose]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def add(self, person: FoundPose) -> None:
        """Add a person; an image with more than `MAX_PEOPLE` becomes a broken one."""
        people = self.people.setdefault(person.name, [])
        if len(people) == MAX_PEOPLE:
            self.broken.setdefault(person.name, f"more than {MAX_PEOPLE:,} people in an image")
        else:
            people.append(person)


def load_json(path: Path) -> Any:
    """Read a JSON file of limited size.

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
        return json.loads(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise InputError(f"{path}: nested more deeply than any pose file") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {str(error)[:200]}") from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for this machine's memory") from error


def parse_numbers(values: object) -> npt.NDArray[np.float64]:
    """Convert a list from a JSON file to an array of possible pixel coordinates.

    Returns:
        (N,) float64.

    Raises:
        InputError: `values` is not a list, holds anything but numbers, or holds a number that
            is not finite or beyond `MAX_COORDINATE_PX`.
    """
    if not isinstance(values, list):
        raise InputError("the keypoints are not a list")
    if any(type(value) not in (int, float) for value in values):  # bool is an int to isinstance
        raise InputError("the keypoints are not all numbers")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise InputError("a keypoint is too large to be a pixel") from error
    if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > MAX_COORDINATE_PX:
        raise InputError("a keypoint is not finite, or too large to be a pixel")
    return numbers


def parse_joints(values: object, joint_counts: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Convert a flat list x, y, v, x, y, v, ... to an array.

    Args:
        values: the list, as it stands in the file.
        joint_counts: numbers of joints that the list may have.

    Returns:
        (J, 3) as (x, y, v); J is one of `joint_counts`.

    Raises:
        InputError: the list has another length, does not hold numbers, or holds coordinates as
            fractions of the image.
    """
    numbers = parse_numbers(values)
    if len(numbers) not in [3 * count for count in joint_counts]:
        lengths = " or ".join(f"{3 * count} numbers ({count} joints)" for count in joint_counts)
        raise InputError(f"expected {lengths}, found {len(numbers)}")
    joints_xyv = numbers.reshape(-1, 3)
    present_xy = joints_xyv[joints_xyv[:, 2] > 0, :2]
    if len(present_xy) > 2 and np.abs(present_xy).max() <= 1:
        raise InputError("the keypoints are fractions of the image; convert them to pixels")
    return joints_xyv


def parse_size(entry: dict[str, Any]) -> Size | None:
    """Return an entry's (height, width), or None if they are missing or implausible."""
    height, width = entry.get("height"), entry.get("width")
    if type(height) is not int or type(width) is not int:
        return None
    plausible = all(0 < side <= MAX_SIDE_PX for side in (height, width))
    return (height, width) if plausible else None


def describe(value: object) -> str:
    """Say in a few words what a JSON value is, for error messages."""
    if isinstance(value, dict):
        keys = ", ".join(sorted(map(str, value))[:6])
        return f"an object with the keys {keys[:100]}" if keys else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value):,}, first {describe(value[0])}" if value else "an empty list"
    return f"{type(value).__name__} {str(value)[:30]!r}"


def round_number(value: float) -> float | int:
    """Round to three decimals; a whole number becomes an int, and is written without `.0`."""
    return int(value) if value == int(value) else round(float(value), 3)
