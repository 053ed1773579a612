"""The published annotation CSV: a line an image, `name:[18 y]:[18 x]`, -1 where missing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.storage import open_text
from dptn_cli.keypoints.numbers import finite_numbers
from dptn_cli.types import JOINTS, MISSING, Pose

HEADER = ["name", "keypoints_y", "keypoints_x"]
MAX_LINE_LENGTH = 100_000


class Annotations(Mapping[str, Pose]):
    """The poses of one or several annotation CSVs, by image name.

    Lines are kept as they stand and read when they are asked for, so that a broken line harms
    only the image it belongs to.

    Raises:
        InputError: a file cannot be read, its header is not the published one, or two lines
            for one image differ.
    """

    def __init__(self, *paths: Path) -> None:
        self._lines: dict[str, tuple[Path, int, str]] = {}
        for path in paths:
            self._add(path)

    def _add(self, path: Path) -> None:
        for number, line in _lines(path):
            name, _, rest = line.partition(":") if line.count(":") == 2 else ("", "", "")
            name = name.strip()
            if not name:
                raise InputError(f"{path}, line {number}: expected name:[18 y]:[18 x]")
            known = self._lines.setdefault(name, (path, number, rest))
            if known[2].split() != rest.split():
                raise InputError(
                    f"{path}, line {number}: other keypoints for {name} than in "
                    f"{known[0]}, line {known[1]}; keep one of the two"
                )

    def __getitem__(self, name: str) -> Pose:
        """The pose of an image.

        Raises:
            KeyError: no line for this name.
            InputError: its line is not two JSON lists of 18 numbers.
        """
        path, number, rest = self._lines[name]
        try:
            return parse_pose(*rest.split(":"))
        except InputError as error:
            raise InputError(f"{path}, line {number} ({name}): {error}") from error

    def path_of(self, name: str) -> Path:
        """The file that has an image's line; KeyError where none has."""
        return self._lines[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of an annotation CSV, after its header."""
    try:
        with open_text(path, encoding="utf-8-sig") as file:
            header = file.readline(MAX_LINE_LENGTH)
            if [cell.strip() for cell in header.split(":")] != HEADER:
                raise InputError(
                    f"{path}: not an annotation CSV: the first line must be {':'.join(HEADER)}"
                )
            number = 1
            while line := file.readline(MAX_LINE_LENGTH):
                number += 1
                if len(line) == MAX_LINE_LENGTH:
                    raise InputError(f"{path}, line {number}: longer than any annotation")
                if line.strip():
                    yield number, line.strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not text in UTF-8 ({error.reason}); save it in that encoding"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def parse_pose(ys_json: str, xs_json: str) -> Pose:
    """Read two JSON lists of 18 numbers.

    Returns:
        (18, 2) as (y, x); a joint with either coordinate -1 is missing in both.

    Raises:
        InputError: not JSON, not 18 numbers, or a number that is not finite.
    """
    try:
        lists = [json.loads(text) for text in (ys_json, xs_json)]
    except (ValueError, RecursionError) as error:
        raise InputError("the keypoints are not JSON lists") from error
    for values in lists:
        if not isinstance(values, list) or len(values) != JOINTS:
            count = len(values) if isinstance(values, list) else "no list"
            raise InputError(f"{JOINTS} numbers expected for each of y and x, found {count}")
    pose = np.stack([finite_numbers(values) for values in lists], axis=1)
    pose[(pose == MISSING).any(axis=1)] = MISSING
    return pose


def can_hold(name: str) -> bool:
    """Whether an image's name can stand in an annotation CSV, which is text in UTF-8."""
    odd = (char == ":" or ord(char) < 32 or "\ud800" <= char <= "\udfff" for char in name)
    return not any(odd)


def format_pose(name: str, pose: Pose) -> str:
    """One line of an annotation CSV; whole numbers are written as such."""
    lists = ([int(v) if v == int(v) else round(float(v), 3) for v in axis] for axis in pose.T)
    return ":".join([name, *(json.dumps(values) for values in lists)])
