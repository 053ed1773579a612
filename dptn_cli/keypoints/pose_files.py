"""Read poses from files and folders in any supported format, recognized by content."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.own_files import files_outside_results
from dptn_cli.io.paths import IMAGE_SUFFIXES, without_image_suffix
from dptn_cli.io.results_folder import RECORD_SUFFIX
from dptn_cli.io.storage import storage_of
from dptn_cli.io.text_lines import encoding_of
from dptn_cli.keypoints.annotation_csv import HEADER, Annotations, is_annotation_csv, is_yolo
from dptn_cli.keypoints.dialects import NotAPoseFile, read_document
from dptn_cli.keypoints.image_names import NameIndex, normalize_name
from dptn_cli.keypoints.json_file import PeopleByImage, load_json
from dptn_cli.keypoints.largest import size_key
from dptn_cli.keypoints.network_grid import present_joints
from dptn_cli.types import JOINTS, MISSING, FoundPose

FORMATS = (
    f"an annotation CSV ({HEADER}), or JSON of COCO (images and annotations, or a list of "
    "results), openpifpaf, OpenPose (people), mmpose, Ultralytics, AlphaPose or MediaPipe"
)
SAME_WITHIN_PX = 1.0  # formats round coordinates differently
KEYPOINT_COLUMNS = HEADER.split(":")[1:]
JSON_SUFFIXES = (".json", ".jsonl")
SUFFIXES = (".csv", *JSON_SUFFIXES, ".txt")
START_BYTES = 4096  # hold the first line of an annotation CSV
VIDEO_ENDING = ".openpifpaf.json"
# What tools append to an image's name, the longest first: only one of them is removed.
NAME_ENDINGS = (".predictions.json", VIDEO_ENDING, "_keypoints.json", ".json", ".jsonl")
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


class _Kind(Enum):
    """What kind of pose file a file is."""

    JSON = auto()
    CSV = auto()
    YOLO = auto()
    EMPTY = auto()
    OTHER = auto()


_PASSED_OVER = {_Kind.YOLO: "files of YOLO-pose text", _Kind.EMPTY: "empty files"}


class PoseFiles:
    """The poses in pose files and in folders of pose files, by image name.

    A JSON file about a single image (openpifpaf's, OpenPose's, mmpose's, ...) is named after it,
    with or without the image's suffix. Without it, the file applies to an image of any suffix.

    Args:
        *paths: annotation CSVs, JSON files of any format, and folders of them. In a folder, every
            `.json` and `.jsonl` is read, and every `.csv` that is an annotation CSV. JSON files
            without poses and YOLO-pose text are passed over there.

    Attributes:
        notes: what was passed over or assumed, one line each.

    Raises:
        InputError: a file cannot be read or is in no known format, a file or folder has no poses,
            or two files give different keypoints for the same image.
    """

    def __init__(self, *paths: Path) -> None:
        self._json: dict[str, _Entry] = {}
        self._roots: dict[Path, Path] = {}
        self.notes: list[str] = []
        csv_paths: list[Path] = []
        problems: list[str] = []
        for path in paths:
            try:
                csv_paths += self._read(path, problems)
            except InputError as error:
                problems.append(str(error))
        if len(problems) > 1:
            raise InputError(f"{len(problems):,} pose files cannot be used:", tuple(problems))
        if problems:
            raise InputError(problems[0])
        self._csv = Annotations(*csv_paths)
        self._csv_spellings = _spellings(self._csv)
        self._used: set[Path] = set()
        self._claims = _Claims()

    def _read(self, root: Path, problems: list[str]) -> list[Path]:
        """Read the JSON files that a path names, and return its annotation CSVs.

        Args:
            root: a file or a folder.
            problems: receives what is wrong with a folder's files.

        Raises:
            InputError: the file cannot be used, or the folder has no pose file.
        """
        csv_paths: list[Path] = []
        passed_over: Counter[str] = Counter()
        others: dict[str, str] = {}
        has_pose_file = False
        for file, name in _files_of(root):
            self._roots[file] = root
            try:
                kind = _kind_of(file, is_named=file is root)
                if kind is _Kind.JSON:
                    people = _read_json(file, name)
                    self._add(file, people)
                    passed_over += people.passed_over
                    self.notes += [f"{file}: {note}" for note in people.notes]
                    has_pose_file |= bool(people.people or people.broken)
                elif kind is _Kind.CSV:
                    csv_paths.append(file)
                    has_pose_file = True
                elif kind in _PASSED_OVER:
                    passed_over[_PASSED_OVER[kind]] += 1
            except NotAPoseFile as error:
                if file is root:
                    raise InputError(f"{file}: {error}; expected {FORMATS}") from error
                others[file.name] = f"{file}: {error}; expected {FORMATS}"
            except InputError as error:
                problems.append(str(error))
                has_pose_file = True
        if not has_pose_file:
            problems += others.values()
            if passed_over or not others:
                problems.append(_describe_empty(root, passed_over))
        self.notes += _describe_passed_over(root, passed_over, list(others))
        return csv_paths

    def _add(self, path: Path, people: PeopleByImage) -> None:
        for name in dict.fromkeys((*people.people, *people.broken)):
            entry = _Entry(path, tuple(people.people.get(name, ())), people.broken.get(name, ""))
            known = self._json.setdefault(name, entry)
            if not (known.broken or entry.broken):
                first, second = _largest(name, known), _largest(name, entry)
                _check_same(name, first, known.path, second, path)

    def guesses(self) -> list[str]:
        """Say which entries `find` used for images of other names, or for two; a line for each."""
        notes = []
        for key, name in islice(self._claims.guessed.items(), 1):
            count = len(self._claims.guessed)
            notes.append(
                f"{self._path_of(key)}: matched to images with other names ({count:,}); for "
                f"example, {key} to {name}"
            )
        for key, names in islice(self._claims.shared.items(), 1):
            notes.append(f"{self._path_of(key)}: used for both {names[0]} and {names[1]}")
        return notes

    @cached_property
    def _index(self) -> NameIndex:
        return NameIndex(self.names())

    def names(self) -> Iterator[str]:
        """Yield the names of all images, relative and perhaps without a suffix."""
        spellings = {name: plain for plain, name in self._csv_spellings.items()}
        for name in self._csv:
            yield spellings.get(name, name)
        yield from (name for name in self._json if not self._has_csv(name))

    def find(
        self, name: str, is_other_image: Callable[[str], bool] = lambda name: False
    ) -> FoundPose | None:
        """Return the pose of an image; if it shows several people, the largest one's.

        An entry of this name counts. If there is none, an entry whose name differs in folders or
        suffix counts, or one that is the image's number, if it is the only one like it.

        Args:
            name: the image's name, relative.
            is_other_image: returns whether an entry's name is itself an image of the job, so that
                the entry cannot mean this image.

        Returns:
            The pose. None if no file mentions the image; a pose with all joints missing if a
            file says that nobody was found in it.

        Raises:
            InputError: the image's keypoints are broken, two files disagree about them, or an
                entry of another name may mean several images.
        """
        key = normalize_name(name)
        entry = self.entry_for(name, is_other_image)
        if entry is None:
            return None
        if entry in (name, key):
            self._claims.claim_by_name(entry, self._path_of(entry))
            if not self._has_csv(entry) and entry not in self._json:
                self._claims.share(without_image_suffix(entry), entry)
        elif not self._claims.claim(entry, key, self._path_of(entry)):
            return None
        self._used.add(self._roots[self._path_of(entry)])  # even if it is broken
        poses = self._find_exact(name, entry)
        for first, second in zip(poses, poses[1:], strict=False):
            _check_same(name, *first, *second)
        self._used.update(self._roots[path] for _, path in poses)
        return poses[0][0]

    def entry_for(
        self, name: str, is_other_image: Callable[[str], bool] = lambda name: False
    ) -> str | None:
        """Return the name of the entry that `find` takes for an image; None if there is none."""
        if name in self._csv:
            return name
        key = normalize_name(name)
        if key != name and is_other_image(key):  # in another Unicode normal form
            return None
        if self._has_csv(key) or key in self._json or without_image_suffix(key) in self._json:
            return key
        candidates = [
            entry for entry in self._index.find(key) if not _is_taken(entry, key, is_other_image)
        ]
        return candidates[0] if len(candidates) == 1 else None

    def _find_exact(self, name: str, key: str) -> list[tuple[FoundPose, Path]]:
        """Return the poses of an entry, each with its file; `name` is the image they are for."""
        poses: list[tuple[FoundPose, Path]] = []
        if self._has_csv(key):
            spelling = key if key in self._csv else self._csv_spellings[key]
            pose = self._csv[spelling]
            confidence = present_joints(pose).astype(np.float64)
            poses.append((FoundPose(name, pose, confidence), self._csv.path_of(spelling)))
        for known in dict.fromkeys((key, without_image_suffix(key))):
            if entry := self._json.get(known):
                poses.append((_largest(name, entry), entry.path))
        return poses

    def _has_csv(self, key: str) -> bool:
        return key in self._csv or key in self._csv_spellings

    def _path_of(self, key: str) -> Path:
        entry = self._json.get(key) or self._json.get(without_image_suffix(key))
        return entry.path if entry else self._csv.path_of(self._csv_spellings.get(key, key))

    def unused(self) -> Iterator[tuple[Path, str]]:
        """Yield each path of which `find` has used nothing, with the name of one of its entries.

        The name is empty if the path has no entries.
        """
        for root in dict.fromkeys(self._roots.values()):
            if root not in self._used:
                names = (name for name in self.names() if self._roots[self._path_of(name)] == root)
                name = next(names, "")
                if name or root in self._csv.empty:  # else another file has all of its names too
                    yield root, name


def _spellings(csv: Annotations) -> dict[str, str]:
    """Return the names in CSVs that are not normalized, by their normalized spelling.

    Raises:
        InputError: two spellings of a name have different keypoints.
    """
    spellings: dict[str, str] = {}
    for name in csv:
        plain = normalize_name(name)
        if plain == name:
            continue
        other = plain if plain in csv else spellings.setdefault(plain, name)
        if other != name and not csv.agree(name, other):
            raise InputError(
                f"{csv.path_of(name)}: other keypoints for {name} than for {other} in "
                f"{csv.path_of(other)}; keep one of the two"
            )
    return spellings


def _is_taken(entry: str, key: str, is_other_image: Callable[[str], bool]) -> bool:
    """Return whether an entry has an image of its own, so that it cannot mean the image `key`.

    An image that has the entry's folders counts, whatever its suffix: it is more like it.
    """
    if is_other_image(entry):
        return True
    plain = without_image_suffix(entry)
    if plain == without_image_suffix(key):
        return False
    suffixes = IMAGE_SUFFIXES | {PurePosixPath(key).suffix}
    return any(is_other_image(plain + suffix) for suffix in suffixes)


class _Claims:
    """Which images use which entries: none is used for two images, unless only the suffix differs.

    Attributes:
        guessed: by entry, the image of another name that uses it.
        shared: by entry without a suffix, two images that use it.
    """

    def __init__(self) -> None:
        self._named: set[str] = set()
        self.guessed: dict[str, str] = {}
        self._suffixed: dict[str, str] = {}
        self.shared: dict[str, tuple[str, str]] = {}

    def claim_by_name(self, key: str, path: Path) -> None:
        """Record that an image with the entry's own name uses it.

        Raises:
            InputError: another image already uses it.
        """
        self._named.add(key)
        if key in self.guessed:
            raise _ambiguous(path, key, key, self.guessed[key])

    def share(self, key: str, name: str) -> None:
        """Record that an image uses the entry of its name without a suffix."""
        first = self._suffixed.setdefault(key, name)
        if first != name:
            self.shared[key] = (first, name)

    def claim(self, key: str, name: str, path: Path) -> bool:
        """Record that an image of another name uses an entry.

        Returns:
            False if the entry has an image of its own.

        Raises:
            InputError: another image already uses it.
        """
        if key in self._named:
            return False
        first = self.guessed.setdefault(key, name)
        if first != name:
            raise _ambiguous(path, key, first, name)
        return True


def _ambiguous(path: Path, key: str, *names: str) -> InputError:
    return InputError(
        f"{path}: the keypoints of {key} may be those of {names[0]} or of {names[1]}; rename them "
        "in the file to the image that they belong to"
    )


def _describe_empty(root: Path, passed_over: Counter[str]) -> str:
    """Say why a file or folder has no poses at all."""
    if passed_over:
        return f"{root}: no keypoints in it, only {_counts(passed_over)}"
    return f"no poses in {root}: no file in this folder is a pose file"


def _describe_passed_over(root: Path, passed_over: Counter[str], others: list[str]) -> list[str]:
    notes = [f"{root}: passed over {_counts(passed_over)}"] if passed_over else []
    if others:
        examples = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        notes.append(f"{root}: passed over JSON files without poses ({len(others):,}: {examples})")
    return notes


def _counts(passed_over: Counter[str]) -> str:
    return ", ".join(f"{entries} ({count:,})" for entries, count in passed_over.items())


def _largest(name: str, entry: _Entry) -> FoundPose:
    """Return the largest person.

    Raises:
        InputError: the entry is broken.
    """
    if entry.broken:
        raise InputError(f"{entry.path} ({name}): {entry.broken}")
    if not entry.people:
        return FoundPose(name, NOBODY, np.zeros(JOINTS), people=0)
    largest = max(entry.people, key=lambda person: size_key(person.pose))
    return replace(largest, people=len(entry.people))


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
    names = files_outside_results(folder)
    return [
        name.as_posix()
        for name in names
        if name.suffix.lower() in SUFFIXES and not name.name.endswith(RECORD_SUFFIX)
    ]


def _image_name(file_name: str) -> str:
    """`a.jpg.predictions.json` -> `a.jpg`; a name without a known ending stays as it is."""
    for ending in NAME_ENDINGS:
        if file_name.lower().endswith(ending) and len(file_name) > len(ending):
            name = normalize_name(file_name[: -len(ending)])
            # `walk.mp4.openpifpaf.json` is about the frames of `walk`.
            return name.rpartition(".")[0] or name if ending == VIDEO_ENDING else name
    return normalize_name(file_name)


def _kind_of(path: Path, *, is_named: bool) -> _Kind:
    """Return the kind of a file by its beginning.

    Args:
        path: the file.
        is_named: whether the user named it, so that it must be a pose file.

    Raises:
        NotAPoseFile: a JSON file begins with something other than a list or an object.
        InputError: it cannot be read, or is named and empty.
    """
    with user_errors(path):
        start = storage_of(path).read_bytes(path, START_BYTES)
    text = start.decode(encoding_of(start), "replace")
    first_line = (text.splitlines() or [""])[0]
    if not text.strip():
        if is_named:
            raise InputError(f"{path}: an empty file; expected {FORMATS}")
        return _Kind.EMPTY
    is_text = path.suffix.lower() == ".txt" and not is_named
    if is_text:
        return _Kind.YOLO if is_yolo(first_line) else _Kind.OTHER
    if text.lstrip()[:1] in ("[", "{"):
        return _Kind.JSON
    # A file that is nearly an annotation CSV is no other file: its error says what is wrong.
    if is_annotation_csv(first_line) or all(key in first_line for key in KEYPOINT_COLUMNS):
        return _Kind.CSV
    if path.suffix.lower() in JSON_SUFFIXES:
        if not is_named:
            raise NotAPoseFile("not a pose file: neither a JSON list nor an object")
        return _Kind.JSON
    return _Kind.CSV if is_named else _Kind.OTHER


def _read_json(path: Path, name: str) -> PeopleByImage:
    """Read a JSON pose file of any format; `name` is the image that the file's name suggests."""
    document = load_json(path)
    try:
        return read_document(document, name)
    except NotAPoseFile:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
