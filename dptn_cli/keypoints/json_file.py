"""JSON from strangers, and what a pose file in it holds."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints.joints import Confidence
from dptn_cli.keypoints.numbers import finite_numbers
from dptn_cli.types import FoundPose, Pose, Size

MAX_BYTES = 256 << 20  # COCO's largest keypoint file has 239 MB
MAX_CONTAINERS = 4_000_000
MAX_PEOPLE = 1000  # in one image
MAX_SIDE = 100_000


@dataclass
class PeopleByImage:
    """What one file holds.

    Attributes:
        people: by image; the name has its suffix where the file tells it. An image in which
            nobody was found has an empty list.
        broken: images whose people cannot be used, and why.
    """

    people: dict[str, list[FoundPose]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def add(self, person: FoundPose) -> None:
        """Add a person; more than `MAX_PEOPLE` in an image make it a broken one."""
        people = self.people.setdefault(person.name, [])
        if len(people) == MAX_PEOPLE:
            self.broken.setdefault(person.name, f"more than {MAX_PEOPLE:,} people in an image")
        else:
            people.append(person)


def load_json(path: Path) -> Any:
    """Read a JSON file of a bounded size.

    Raises:
        InputError: it cannot be read, is too large, or is not JSON.
    """
    try:
        data = storage_of(path).read_bytes(path, MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
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


def triples(values: object, joints: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """A flat list x, y, v, x, y, v ... of one of the numbers of joints.

    Returns:
        (J, 3) as (x, y, v).

    Raises:
        InputError: another length, something else than numbers, or fractions of the image.
    """
    numbers = finite_numbers(values)
    if len(numbers) not in [3 * count for count in joints]:
        wanted = " or ".join(f"{3 * count} ({count} joints)" for count in joints)
        raise InputError(f"{wanted} numbers expected, found {len(numbers)}")
    joints_xyv = numbers.reshape(-1, 3)
    there = joints_xyv[joints_xyv[:, 2] > 0, :2]
    if len(there) > 2 and np.abs(there).max() <= 1:
        raise InputError("the keypoints are fractions of the image; write them in its pixels")
    return joints_xyv


def found_pose(
    name: str, pose_and_confidence: tuple[Pose, Confidence], size: Size | None = None
) -> FoundPose:
    """A person, from what `from_coco` and the like return."""
    return FoundPose(name, *pose_and_confidence, image_size=size)


def size_of(entry: dict[str, Any]) -> Size | None:
    """(height, width) where both are plain whole numbers of pixels."""
    size = (entry.get("height"), entry.get("width"))
    plain = all(type(side) is int and 0 < side <= MAX_SIDE for side in size)
    return (int(size[0]), int(size[1])) if plain and size[0] and size[1] else None


def kind_of(value: object) -> str:
    """What was found, in a few words, for a message."""
    if isinstance(value, dict):
        keys = ", ".join(sorted(map(str, value))[:6])
        return f"an object with the keys {keys[:100]}" if keys else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value):,}, first {kind_of(value[0])}" if value else "an empty list"
    return f"{type(value).__name__} {str(value)[:30]!r}"
