"""Pose files of every format that is read, recognised by what is in them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints import coco, openpose
from dptn_cli.keypoints.annotation_csv import HEADER, Annotations
from dptn_cli.keypoints.json_file import PeopleByImage, kind_of, load_json
from dptn_cli.types import JOINTS, MISSING, FoundPose

KNOWN = (
    f"an annotation CSV ({':'.join(HEADER)}), COCO keypoint JSON (images and annotations, or a "
    "list of results), openpifpaf's predictions, or OpenPose JSON (people)"
)
SAME_WITHIN_PX = 1.0  # files round their coordinates differently
SUFFIXES = (".csv", ".json")
# What tools append to an image's name; the first that fits is taken off.
NAME_ENDINGS = (".predictions.json", "_keypoints.json", ".json")
NOBODY = np.full((JOINTS, 2), MISSING)
NOBODY.flags.writeable = False


@dataclass(frozen=True)
class _Entry:
    """What one file says of an image; `broken` is why its people cannot be used."""

    path: Path
    people: tuple[FoundPose, ...]
    broken: str = ""


class PoseFiles:
    """The poses of pose files and of folders of such, by image name.

    JSON files that are named after an image (openpifpaf's, OpenPose's) give its name with or
    without the image's suffix; without it, they hold for an image of any suffix.

    Args:
        *paths: annotation CSVs, COCO, openpifpaf and OpenPose JSON, and folders of such. In a
            folder every `.json` is read, and every `.csv` that is an annotation CSV.

    Raises:
        InputError: a file cannot be read or is none of these, a folder has none, or two say
            different things.
    """

    def __init__(self, *paths: Path) -> None:
        self._json: dict[str, _Entry] = {}
        csv: list[Path] = []
        problems: list[str] = []
        for path in paths:
            empty = True
            for file, name in _files_of(path):
                try:
                    if is_json(file):
                        self._add(file, _read_json(file, name))
                    elif file is path or _is_annotation_csv(file):
                        csv.append(file)
                    else:
                        continue
                except InputError as error:
                    problems.append(str(error))
                empty = False
            if empty:
                problems.append(f"no poses in {path}: no file in this folder holds any")
        if len(problems) > 1:
            raise InputError(f"{len(problems):,} pose files cannot be used:", tuple(problems))
        if problems:
            raise InputError(problems[0])
        self._csv = Annotations(*csv)

    def _add(self, path: Path, found: PeopleByImage) -> None:
        for name in dict.fromkeys((*found.people, *found.broken)):
            people = tuple(found.people.get(name, ()))
            entry = _Entry(path, people, found.broken.get(name, ""))
            known = self._json.setdefault(name, entry)
            if not (known.broken or entry.broken):
                _check_same(name, _largest(name, known), known.path, _largest(name, entry), path)

    def names(self) -> Iterator[str]:
        """The images whose poses are here, some perhaps without their suffix."""
        yield from self._csv
        yield from (name for name in self._json if name not in self._csv)

    def find(self, name: str) -> FoundPose | None:
        """The pose of an image; of several people, the one whose joints cover most.

        Args:
            name: relative, with forward slashes.

        Returns:
            None where no file tells of the image; all joints missing where a file says that
            nobody was found in it.

        Raises:
            InputError: its line or its people are broken, or two files differ.
        """
        found: list[tuple[FoundPose, Path]] = []
        if name in self._csv:
            pose = self._csv[name]
            confidence = (pose != MISSING).all(axis=1).astype(np.float64)
            found.append((FoundPose(name, pose, confidence), self._csv.path_of(name)))
        for key in dict.fromkeys((name, without_image_suffix(name))):
            if entry := self._json.get(key):
                found.append((_largest(name, entry), entry.path))
        for (one, one_path), (other, other_path) in zip(found, found[1:], strict=False):
            _check_same(name, one, one_path, other, other_path)
        return found[0][0] if found else None


def _largest(name: str, entry: _Entry) -> FoundPose:
    if entry.broken:
        raise InputError(f"{entry.path} ({name}): {entry.broken}")
    if not entry.people:
        return FoundPose(name, NOBODY, np.zeros(JOINTS), people=0)
    return replace(max(entry.people, key=_covered), people=len(entry.people))


def _covered(found: FoundPose) -> float:
    """Area of the box around a person's joints, square pixels."""
    there = found.pose[(found.pose != MISSING).all(axis=1)]
    return float(np.prod(there.max(axis=0) - there.min(axis=0) + 1))


def _check_same(
    name: str, one: FoundPose, one_path: Path, other: FoundPose, other_path: Path
) -> None:
    same_joints = np.array_equal(one.pose == MISSING, other.pose == MISSING)
    if not same_joints or np.abs(one.pose - other.pose).max() > SAME_WITHIN_PX:
        raise InputError(
            f"{other_path}: other keypoints for {name} than in {one_path}; keep one of the two"
        )


def _files_of(path: Path) -> Iterator[tuple[Path, str]]:
    """The files that a path stands for, each with the image that its own name tells of."""
    try:
        if not storage_of(path).is_dir(path):
            yield path, _image_of(path.name)
            return
        for name in _names_in(path):
            yield path / name, _image_of(name)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _names_in(folder: Path) -> list[str]:
    names = (PurePosixPath(name) for name in storage_of(folder).list_files(folder))
    return [name.as_posix() for name in sorted(names) if name.suffix.lower() in SUFFIXES]


def _image_of(name: str) -> str:
    for ending in NAME_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def is_json(path: Path) -> bool:
    """Whether a file begins as a JSON list or object does.

    Raises:
        InputError: it cannot be read.
    """
    return _start(path).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")


def _is_annotation_csv(path: Path) -> bool:
    header = _start(path).decode("utf-8-sig", "replace").partition("\n")[0]
    return [cell.strip() for cell in header.split(":")] == HEADER


def _start(path: Path) -> bytes:
    try:
        return storage_of(path).read_bytes(path, 1024)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _read_json(path: Path, name: str) -> PeopleByImage:
    document = load_json(path)
    try:
        if isinstance(document, dict) and "people" in document:
            return openpose.read_people(document, name)
        if isinstance(document, dict) and {"images", "annotations"} <= document.keys():
            return coco.read_annotations(document)
        if isinstance(document, list) and _tells_images(document):
            return coco.read_results(document)
        if isinstance(document, list) and (not document or _has_keypoints(document[0])):
            return coco.read_predictions(document, name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    raise InputError(f"{path}: no pose file: found {kind_of(document)}; expected {KNOWN}")


def _tells_images(entries: list[object]) -> bool:
    return any(isinstance(e, dict) and ("image_id" in e or "file_name" in e) for e in entries)


def _has_keypoints(entry: object) -> bool:
    return isinstance(entry, dict) and "keypoints" in entry
