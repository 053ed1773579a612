"""The published annotation CSV: one line per image, `name:[18 y]:[18 x]`, -1 where missing."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.io.text_lines import check_encoding, numbered_lines
from dptn_cli.keypoints.json_file import round_number
from dptn_cli.keypoints.network_grid import present_joints
from dptn_cli.keypoints.person_json import are_fractions, check_coordinates, parse_numbers
from dptn_cli.types import JOINTS, MISSING, Pose

HEADER = "name:keypoints_y:keypoints_x"
FORM = "name:[18 y]:[18 x]"
DELIMITERS = ":,;\t"
MIN_FRACTIONS = 5  # joints off whole pixels, in different places, for a pose to be fractions
MAX_PROBLEMS = 1000  # before reading stops
_PADDING = " :,;\t"  # what empty cells leave at the end of a line
# A name and two lists without lists in them.
_ANNOTATION = re.compile(r'(.+?)[:,;\t] *"?(\[[^\[\]]*\])"? *[:,;\t] *"?(\[[^\[\]]*\])"?[ :,;\t]*')

# A class, a box, and two or three numbers for each joint.
_YOLO = re.compile(r"\s*\d+(?:\s+[\d.eE+-]+){20,}\s*")


class Annotations(Mapping[str, Pose]):
    """The poses of one or more annotation CSVs, by image name.

    A line's keypoints are parsed only when they are looked up, so a broken line affects only
    its own image. What spreadsheets and pandas make of the format is read too: quoted cells,
    commas, semicolons or tabs between the cells, empty cells at the end, and pandas' row numbers.

    Args:
        *paths: the CSVs.

    Attributes:
        empty: the CSVs that have no lines but a header.

    Raises:
        InputError: a file cannot be read or has another header, lines are without a name, or two
            lines give different keypoints for the same image. All such lines are named.
    """

    def __init__(self, *paths: Path) -> None:
        self.empty: list[Path] = []
        self._lines: dict[str, tuple[Path, int, str]] = {}
        problems: list[str] = []
        for path in paths:
            self._read(path, problems)
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            files = ", ".join(map(str, paths))
            raise InputError(f"{files}: {len(problems):,} lines cannot be used:", tuple(problems))

    def _read(self, path: Path, problems: list[str]) -> None:
        is_empty = True
        try:
            for number, line, delimiter in _data_lines(path):
                is_empty = False
                try:
                    self._add(path, number, *_split(line, delimiter))
                except InputError as error:
                    problems.append(f"{path}, line {number}: {error}")
                if len(problems) >= MAX_PROBLEMS:
                    return
        except InputError as error:  # the file cannot be read further
            problems.append(str(error))
        if is_empty:
            self.empty.append(path)

    def _add(self, path: Path, number: int, name: str, keypoints: str) -> None:
        known_path, known_number, known_keypoints = self._lines.setdefault(
            name, (path, number, keypoints)
        )
        if not _are_same(known_keypoints, keypoints):
            raise InputError(
                f"other keypoints for {name} than in {known_path}, line {known_number}; keep one "
                "of the two"
            )

    def __getitem__(self, name: str) -> Pose:
        """Return the pose of an image.

        Raises:
            KeyError: there is no line for this name.
            InputError: its line is not two JSON lists of 18 numbers.
        """
        path, number, keypoints = self._lines[name]
        try:
            return _parse_keypoints(keypoints)
        except InputError as error:
            raise InputError(f"{path}, line {number} ({name}): {error}") from error

    def agree(self, name: str, other: str) -> bool:
        """Return whether two names have the same keypoints; KeyError if one is not there."""
        return _are_same(self._lines[name][2], self._lines[other][2])

    def path_of(self, name: str) -> Path:
        """Return the CSV that has an image's line; KeyError if there is none."""
        return self._lines[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def _are_same(first: str, second: str) -> bool:
    """Return whether two lines give the same keypoints, however they write the numbers."""
    if first.split() == second.split():
        return True
    try:
        return np.array_equal(_parse_keypoints(first), _parse_keypoints(second))
    except InputError:
        return False


def _parse_keypoints(keypoints: str) -> Pose:
    lists = keypoints.split(":")
    if len(lists) != 2:
        raise InputError(f"expected {FORM}")
    return parse_pose(*lists)


def _data_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield each line after the header that is not blank.

    A file whose first line is an annotation has no header, and loses nothing by it.

    Yields:
        The line's number in the file, the line, and the delimiter of the file's cells.
    """
    lines = numbered_lines(path)
    _, first = next(lines, (1, ""))
    if not is_annotation_csv(first):
        found = "YOLO-pose text, whose keypoints are fractions of an image of unknown size"
        reason = f"; found {found}" if is_yolo(first) else ""
        raise InputError(f"{path}: not an annotation CSV: the first line must be {HEADER}{reason}")
    delimiter, is_numbered = _read_header(first) or (None, False)
    if delimiter is None:
        yield 1, first.strip(), ":"
    for number, line in lines:
        if delimiter and is_numbered:
            line = line.partition(delimiter)[2] or line
        if line.strip():
            yield number, line.strip(), delimiter or ":"


def _split(line: str, delimiter: str) -> tuple[str, str]:
    """Return the name and the keypoints of a line, the latter as `[18 y]:[18 x]` if it is sound.

    A name may hold anything. It ends where the two lists begin that end the line.

    Raises:
        InputError: there is no name, or the line is not in UTF-8.
    """
    check_encoding(line)
    line = _unquote(line, delimiter)
    if match := _ANNOTATION.fullmatch(line):
        name, *lists = match.groups()
        keypoints = ":".join(map(_with_commas, lists))
    else:
        name, keypoints = _split_broken(line, delimiter)
    if not (name := name.strip()):
        raise InputError(f"expected {FORM}")
    return name, keypoints


def _split_broken(line: str, delimiter: str) -> tuple[str, str]:
    """Return the likeliest name in a line whose keypoints are broken, and the rest."""
    name, *rest = line.rsplit(":", 2) if delimiter == ":" else line.split(delimiter, 1)
    if len(rest) == 2 and without_image_suffix(rest[0]) != rest[0]:  # `a:b.jpg:[1, 2`
        name, rest = f"{name}:{rest[0]}", rest[1:]
    return (name, ":".join(rest)) if rest else ("", "")


def _unquote(line: str, delimiter: str) -> str:
    """Remove the quotes of a line that begins with one, as spreadsheets write it."""
    if not line.startswith('"'):
        return line
    cells = next(csv.reader([line], delimiter=delimiter))
    return ":".join(cell for cell in cells if cell.strip(_PADDING))


def _with_commas(json_list: str) -> str:
    """Undo what a spreadsheet made of a list: `[1; 2]` -> `[1, 2]`."""
    return json_list if "," in json_list else json_list.replace(";", ",")


def is_yolo(first_line: str) -> bool:
    """Return whether YOLO-pose text, which has no image size, begins with a line."""
    return _YOLO.fullmatch(first_line) is not None


def is_annotation_csv(first_line: str) -> bool:
    """Return whether an annotation CSV begins with a line: its header, or an annotation."""
    return _read_header(first_line) is not None or bool(
        _ANNOTATION.fullmatch(_unquote(first_line.strip(), ":"))
    )


def _read_header(line: str) -> tuple[str, bool] | None:
    """Read the header.

    Returns:
        What separates the cells, and whether pandas has put a column of row numbers in front; None
        if the line is not the header.
    """
    line = line.strip("\r\n ").rstrip(_PADDING)
    for delimiter in DELIMITERS:
        cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
        if cells[-3:] == HEADER.split(":") and cells[:-3] in ([], [""], ["Unnamed: 0"], ["index"]):
            return delimiter, len(cells) > 3
    return None


def parse_pose(ys_json: str, xs_json: str) -> Pose:
    """Parse two JSON lists of 18 numbers, the joints' y and x coordinates.

    Returns:
        (18, 2) as (y, x). A joint with either coordinate at -1, null or NaN is missing, and is
        (-1, -1).

    Raises:
        InputError: a text is not a JSON list of 18 numbers that can be pixels.
    """
    try:
        lists = [json.loads(_as_json(text)) for text in (ys_json, xs_json)]
    except (ValueError, RecursionError) as error:
        raise InputError("the keypoints are not JSON lists") from error
    for values in lists:
        if not isinstance(values, list) or len(values) != JOINTS:
            count = len(values) if isinstance(values, list) else "no list"
            raise InputError(f"expected {JOINTS} numbers for each of y and x, found {count}")
    pose = np.stack([parse_numbers(values) for values in lists], axis=1)
    pose[(np.isnan(pose) | (pose == MISSING)).any(axis=1)] = MISSING
    check_coordinates(pose)
    present = pose[present_joints(pose)]
    if are_fractions(present) and _joints_between_pixels(present) >= MIN_FRACTIONS:
        raise InputError("the keypoints are fractions of an image's size; convert them to pixels")
    return pose


def _joints_between_pixels(points: Pose) -> int:
    """Count the different points off whole pixels: whole numbers are pixels of a tiny crop."""
    return len(np.unique(points[(points % 1 != 0).any(axis=1)], axis=0))


def _as_json(text: str) -> str:
    """Return a list as JSON writes missing numbers: `str` of a Python list has `None` and `nan`."""
    return text.replace("None", "null").replace("nan", "NaN")


def can_hold(name: str) -> bool:
    """Return whether an annotation CSV, which is UTF-8 text, can hold an image name."""
    is_text = not any(ord(char) < 32 or "\ud800" <= char <= "\udfff" for char in name)
    return is_text and name == name.strip() and not name.startswith(('"', "\ufeff")) and bool(name)


def format_pose(name: str, pose: Pose) -> str:
    """Return an image's line in an annotation CSV, without the line break."""
    lists = ([round_number(value) for value in axis] for axis in pose.T)
    return ":".join([name, *(json.dumps(values) for values in lists)])


def format_csv(poses: Iterable[tuple[str, Pose]]) -> bytes:
    """Return the content of an annotation CSV with these (image name, pose) pairs."""
    lines = [HEADER, *(format_pose(name, pose) for name, pose in poses)]
    return ("\n".join(lines) + "\n").encode()
