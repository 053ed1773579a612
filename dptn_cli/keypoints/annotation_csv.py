"""The published annotation CSV: one line per image, `name:[18 y]:[18 x]`, -1 where missing."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.storage import open_text
from dptn_cli.keypoints.json_file import parse_numbers, round_number
from dptn_cli.types import JOINTS, MISSING, Pose

HEADER = "name:keypoints_y:keypoints_x"
MAX_LINE_LENGTH = 100_000


class Annotations(Mapping[str, Pose]):
    """The poses of one or more annotation CSVs, by image name.

    A line's keypoints are parsed only when they are looked up, so a broken line affects only
    its own image.

    Args:
        *paths: the CSVs.

    Raises:
        InputError: a file cannot be read, its header is not the published one, or two lines
            give different keypoints for the same image.
    """

    def __init__(self, *paths: Path) -> None:
        self._lines: dict[str, tuple[Path, int, str]] = {}
        for path in paths:
            self._read(path)

    def _read(self, path: Path) -> None:
        for number, line in _numbered_lines(path):
            name, _, keypoints = line.partition(":")
            name = name.strip()
            if not name or line.count(":") != 2:
                raise InputError(f"{path}, line {number}: expected name:[18 y]:[18 x]")
            known_path, known_number, known_keypoints = self._lines.setdefault(
                name, (path, number, keypoints)
            )
            if known_keypoints.split() != keypoints.split():  # white space does not matter
                raise InputError(
                    f"{path}, line {number}: other keypoints for {name} than in "
                    f"{known_path}, line {known_number}; keep one of the two"
                )

    def __getitem__(self, name: str) -> Pose:
        """Return the pose of an image.

        Raises:
            KeyError: there is no line for this name.
            InputError: its line is not two JSON lists of 18 numbers.
        """
        path, number, keypoints = self._lines[name]
        try:
            return parse_pose(*keypoints.split(":"))
        except InputError as error:
            raise InputError(f"{path}, line {number} ({name}): {error}") from error

    def path_of(self, name: str) -> Path:
        """Return the CSV that has an image's line; KeyError if there is none."""
        return self._lines[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line after the header that is not blank, with its number in the file."""
    try:
        with user_errors(path), open_text(path, encoding="utf-8-sig") as file:
            if not is_header(file.readline(MAX_LINE_LENGTH)):
                raise InputError(f"{path}: not an annotation CSV: the first line must be {HEADER}")
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


def is_header(line: str) -> bool:
    """Return whether a line is the header of an annotation CSV; spaces around cells are ignored."""
    return [cell.strip() for cell in line.split(":")] == HEADER.split(":")


def parse_pose(ys_json: str, xs_json: str) -> Pose:
    """Parse two JSON lists of 18 numbers, the joints' y and x coordinates.

    Returns:
        (18, 2) as (y, x). A joint with either coordinate at -1 is missing, and is (-1, -1).

    Raises:
        InputError: a text is not a JSON list of 18 numbers that can be pixels.
    """
    try:
        lists = [json.loads(text) for text in (ys_json, xs_json)]
    except (ValueError, RecursionError) as error:
        raise InputError("the keypoints are not JSON lists") from error
    for values in lists:
        if not isinstance(values, list) or len(values) != JOINTS:
            count = len(values) if isinstance(values, list) else "no list"
            raise InputError(f"expected {JOINTS} numbers for each of y and x, found {count}")
    pose = np.stack([parse_numbers(values) for values in lists], axis=1)
    pose[(pose == MISSING).any(axis=1)] = MISSING
    return pose


def can_hold(name: str) -> bool:
    """Return whether an annotation CSV, which is UTF-8 text, can hold an image name."""
    return not any(char == ":" or ord(char) < 32 or "\ud800" <= char <= "\udfff" for char in name)


def format_pose(name: str, pose: Pose) -> str:
    """Return an image's line in an annotation CSV, without the line break."""
    lists = ([round_number(value) for value in axis] for axis in pose.T)
    return ":".join([name, *(json.dumps(values) for values in lists)])


def format_csv(poses: Iterable[tuple[str, Pose]]) -> bytes:
    """Return the content of an annotation CSV with these (image name, pose) pairs."""
    lines = [HEADER, *(format_pose(name, pose) for name, pose in poses)]
    return ("\n".join(lines) + "\n").encode()
