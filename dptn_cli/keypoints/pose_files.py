"""Read poses from files and folders in any supported format, recognized by content."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints import coco, openpose
from dptn_cli.keypoints.annotation_csv import HEADER, Annotations, is_header
from dptn_cli.keypoints.json_file import PeopleByImage, describe, load_json
from dptn_cli.types import JOINTS, MISSING, FoundPose

FORMATS = (
    f"an annotation CSV ({HEADER}), COCO keypoint JSON (images and annotations, or a list of "
    "results), openpifpaf's predictions, or OpenPose JSON (people)"
)
SAME_WITHIN_PX = 1.0  # formats round coordinates differently
SUFFIXES = (".csv", ".json")
# What tools append to an image's name, the longest first: only one of them is removed.
NAME_ENDINGS = (".predictions.json", "_keypoints.json", ".json")
NOBODY = np.full((JOINTS, 2), MISSING)
NOBODY.flags.writeable = False  # one array is shared by all images without people


@dataclass(frozen=True)
class _Entry:
    """The people that one JSON file has for an image.

    Attributes:
        path: the file.
        people: the people in the image; empty if nobody was found in it.
        broken: why the people cannot be used; empty if they can.
    """

    path: Path
    people: tuple[FoundPose, ...]
    broken: str = ""


class PoseFiles:
    """The poses in pose files and in folders of pose files, by image name.

    A JSON file about a single image (openpifpaf's, OpenPose's) is named after it, with or
    without the image's suffix. Without it, the file applies to an image of any suffix.

    Args:
        *paths: annotation CSVs, COCO, openpifpaf or OpenPose JSON files, and folders of them.
            In a folder, every `.json` is read, and every `.csv` that is an annotation CSV.

    Raises:
        InputError: a file cannot be read or is in no known format, a folder has no pose files,
            or two files give different keypoints for the same image.
    """

    def __init__(self, *paths: Path) -> None:
        self._json: dict[str, _Entry] = {}
        csv_paths: list[Path] = []
        problems: list[str] = []
        for path in paths:
            has_pose_file = False
            for file, name in _files_of(path):
                try:
                    if _is_json(file):
                        self._add(file, _read_json(file, name))
                    elif file is path or _is_annotation_csv(file):
                        csv_paths.append(file)
                    else:
                        continue  # some other CSV in the folder, such as a pair list
                except InputError as error:
                    problems.append(str(error))
                has_pose_file = True
            if not has_pose_file:
                problems.append(f"no poses in {path}: no file in this folder is a pose file")
        if len(problems) > 1:
            raise InputError(f"{len(problems):,} pose files cannot be used:", tuple(problems))
        if problems:
            raise InputError(problems[0])
        self._csv = Annotations(*csv_paths)

    def _add(self, path: Path, people: PeopleByImage) -> None:
        for name in dict.fromkeys((*people.people, *people.broken)):
            entry = _Entry(path, tuple(people.people.get(name, ())), people.broken.get(name, ""))
            known = self._json.setdefault(name, entry)
            if not (known.broken or entry.broken):
                first, second = _largest(name, known), _largest(name, entry)
                _check_same(name, first, known.path, second, path)

    def names(self) -> Iterator[str]:
        """Yield the names of all images, each as its file has it: perhaps without a suffix."""
        yield from self._csv
        yield from (name for name in self._json if name not in self._csv)

    def find(self, name: str) -> FoundPose | None:
        """Return the pose of an image; if it shows several people, the largest one's.

        Args:
            name: the image's name, relative, with forward slashes.

        Returns:
            The pose. None if no file mentions the image; a pose with all joints missing if a
            file says that nobody was found in it.

        Raises:
            InputError: the image's keypoints are broken, or two files disagree about them.
        """
        poses: list[tuple[FoundPose, Path]] = []
        if name in self._csv:
            pose = self._csv[name]
            confidence = (pose != MISSING).all(axis=1).astype(np.float64)
            poses.append((FoundPose(name, pose, confidence), self._csv.path_of(name)))
        for key in dict.fromkeys((name, without_image_suffix(name))):
            if entry := self._json.get(key):
                poses.append((_largest(name, entry), entry.path))
        for first, second in zip(poses, poses[1:], strict=False):
            _check_same(name, *first, *second)
        return poses[0][0] if poses else None


def _largest(name: str, entry: _Entry) -> FoundPose:
    """Return the person whose joints cover the largest area.

    Raises:
        InputError: the entry is broken.
    """
    if entry.broken:
        raise InputError(f"{entry.path} ({name}): {entry.broken}")
    if not entry.people:
        return FoundPose(name, NOBODY, np.zeros(JOINTS), people=0)
    return replace(max(entry.people, key=_box_area_px), people=len(entry.people))


def _box_area_px(person: FoundPose) -> float:
    """Return the area of the box around a person's joints, square pixels."""
    present = person.pose[(person.pose != MISSING).all(axis=1)]
    return float(np.prod(present.max(axis=0) - present.min(axis=0) + 1))


def _check_same(
    name: str, first: FoundPose, first_path: Path, second: FoundPose, second_path: Path
) -> None:
    """Refuse two poses of one image that differ by more than rounding."""
    same_joints = np.array_equal(first.pose == MISSING, second.pose == MISSING)
    if not same_joints or np.abs(first.pose - second.pose).max() > SAME_WITHIN_PX:
        raise InputError(
            f"{second_path}: other keypoints for {name} than in {first_path}; keep one of the two"
        )


def _files_of(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file, or the candidates in the folder, each with the image its name suggests."""
    with user_errors(path):
        if not storage_of(path).is_dir(path):
            yield path, _image_name(path.name)
            return
        for name in _names_in(path):
            yield path / name, _image_name(name)


def _names_in(folder: Path) -> list[str]:
    """Return the files in a folder and below it that may be pose files, sorted."""
    names = map(PurePosixPath, storage_of(folder).list_files(folder))
    return [name.as_posix() for name in sorted(names) if name.suffix.lower() in SUFFIXES]


def _image_name(file_name: str) -> str:
    """`a.jpg.predictions.json` -> `a.jpg`; a name without a known ending stays as it is."""
    for ending in NAME_ENDINGS:
        if file_name.lower().endswith(ending) and len(file_name) > len(ending):
            return file_name[: -len(ending)]
    return file_name


def _is_json(path: Path) -> bool:
    """Return whether a file starts like a JSON list or object."""
    return _read_start(path).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")


def _is_annotation_csv(path: Path) -> bool:
    return is_header(_read_start(path).decode("utf-8-sig", "replace").partition("\n")[0])


def _read_start(path: Path) -> bytes:
    with user_errors(path):
        return storage_of(path).read_bytes(path, 1024)


def _read_json(path: Path, name: str) -> PeopleByImage:
    """Read a JSON pose file of any format; `name` is the image that the file's name suggests."""
    document = load_json(path)
    try:
        if isinstance(document, dict):
            if "people" in document:
                return openpose.read_people(document, name)
            if {"images", "annotations"} <= document.keys():
                return coco.read_annotations(document)
        elif isinstance(document, list):
            objects = [entry for entry in document if isinstance(entry, dict)]
            if any("image_id" in entry or "file_name" in entry for entry in objects):
                return coco.read_results(document)
            if not document or (isinstance(document[0], dict) and "keypoints" in document[0]):
                return coco.read_predictions(document, name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    raise InputError(f"{path}: not a pose file: found {describe(document)}; expected {FORMATS}")
