"""What must be right with every pair before anything starts, checked in one pass over them.

A bad row stops the job, with all other problems, unless bad rows are to be skipped. An image that
is missing only makes its items fail, unless that leaves nothing to do.

The name of a result takes eight bytes, on disk from a million pairs on. A distinct image takes
eight bytes in memory. No check is left out, however long the list is.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dptn_cli.errors import InputError, counted, user_errors
from dptn_cli.io.hash_sets import DuplicateFinder, HashSet, hash64
from dptn_cli.io.image_folders import ImageFile
from dptn_cli.io.images import read_image_size
from dptn_cli.io.paths import check_name_length
from dptn_cli.io.results_folder import is_contact_sheet
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints.stated_size import is_resized
from dptn_cli.transfer.result_names import is_shortened
from dptn_cli.types import FoundPose, Size

Row: TypeAlias = tuple[ImageFile, ImageFile, str, int]
"""Source, target, the name of the result, and the line in the pair list, or 0."""

Rows: TypeAlias = Callable[[Callable[[int, str, str], object]], Iterator[Row]]
"""Iterates over the rows from the start. Calls its argument with the number of the line of each row
that cannot be read, with the line, and the reason."""

CHUNK = 1 << 11  # rows
MAX_PROBLEMS = 100_000  # before the pass stops
MAX_SIZES_CHECKED = 256  # images that are opened to compare their size with their pose file's
MAX_NAMES_SHOWN = 5  # of images with several people, or without a file
MAX_EXAMPLES = 3  # of bad rows
MAX_ROW_SHOWN = 200  # characters
TOO_MANY = "the rest of the list was not checked"


@dataclass
class PairChecks:
    """The checks on all pairs of a job, and what they find.

    Attributes:
        pose_of: returns the pose of an image, or None if no file has one.
        exists: returns whether an image exists.
        out: resolved path of the results folder.
        skip_bad_rows: whether a bad row only fails, instead of stopping the job.
        unused: returns the pose files that the user named and that were used for no image, each
            with the name of an image in it, or an empty one.
        pair_list: the pair list; None if there is none.
        planned: number of pairs, bad rows included.
        bad_rows: by position among the rows, why one cannot be used, if bad rows are skipped.
        bad_lines: by line of the list, why it cannot be read, if bad rows are skipped.
        missing_source_count: number of source images that do not exist.
        missing_sources: names of the first few of them, with their lines.
        missing_pose: images without a pose, on which one can be detected.
        multi_person_count: number of images with more than one person.
        multi_person_names: names of the first few of them, with their numbers of people.
        notes: what else the user should know, one line each.
        shortened_count: number of results whose published name is too long for a file.
        name_key: returns what two results share if their names are the same file.
    """

    pose_of: Callable[[ImageFile], FoundPose | None]
    exists: Callable[[ImageFile], bool]
    out: Path
    skip_bad_rows: bool = False
    unused: Callable[[], Iterable[tuple[Path, str]]] = tuple
    pair_list: Path | None = None
    planned: int = 0
    bad_rows: dict[int, str] = field(default_factory=dict)
    bad_lines: dict[int, str] = field(default_factory=dict)
    missing_source_count: int = 0
    missing_sources: list[str] = field(default_factory=list)
    missing_pose: list[ImageFile] = field(default_factory=list)
    multi_person_count: int = 0
    multi_person_names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shortened_count: int = 0
    _images: HashSet = field(default_factory=HashSet)
    _sources: HashSet = field(default_factory=HashSet)
    _inputs_in_out: HashSet = field(default_factory=HashSet)
    _has_inputs_in_out: bool = False
    _absent: HashSet = field(default_factory=HashSet)  # source images that do not exist
    _lacking: HashSet = field(default_factory=HashSet)  # images with neither a file nor a pose
    _lacking_names: list[str] = field(default_factory=list)
    _lacking_count: int = 0
    _hopeless_count: int = 0  # items that lack an image
    _existing_sources: int = 0
    _first_missing: Path | None = None
    _first_image: str = ""
    _sizes_checked: int = 0
    _problems: list[tuple[int, str]] = field(default_factory=list)  # with the line, or 0

    def __post_init__(self) -> None:
        self._places = cache(self._find_places)
        self.name_key = storage_of(self.out).name_key(self.out)

    def check(self, rows: Rows) -> None:
        """Check every row.

        Args:
            rows: iterates over the rows from the start at each call.

        Raises:
            InputError: one error with every problem found.
        """
        with DuplicateFinder() as outputs:
            iterator = rows(self._add_bad_line)
            while chunk := self._next_chunk(iterator):
                outputs.add(np.array([self._hash(row[2]) for row in chunk], np.uint64))
                self._check_outputs(chunk)
                images = _new_images(self._images, (i for row in chunk for i in row[:2]))
                self._add_inputs_in_out(images)
                for image in images:
                    self._check_pose(image, chunk)
                for image in _new_images(self._sources, (row[0] for row in chunk)):
                    self._check_source(image, chunk)
                self._count_hopeless(chunk)
                self.planned += len(chunk)
                if self._is_full():
                    self._problems.append((0, TOO_MANY))
                    break
            duplicates = outputs.duplicates(MAX_PROBLEMS)
        self._problems += (
            (
                0,
                f"{path}: its keypoints belong to no image of this job; for example, the file has "
                f"{name}, and the job has {self._first_image}"
                if name
                else f"{path}: no keypoints in it",
            )
            for path, name in self.unused()
        )
        if duplicates:
            self._check_clashes(rows(ignore_bad_row), duplicates)
        self.planned += len(self.bad_lines)
        self._raise_problems()

    def summary(self) -> Iterator[str]:
        """Yield what the user should know, after all checks, one line each."""
        yield from self.notes
        if bad := [*self.bad_lines.values(), *self.bad_rows.values()]:
            more = "; ..." if len(bad) > MAX_EXAMPLES else ""
            yield (
                f"{counted(len(bad), 'row')} cannot be used and will fail: "
                f"{'; '.join(bad[:MAX_EXAMPLES])}{more}"
            )
        if self._lacking_count:
            yield f"{self._describe_lacking()}; their items will fail"
        if self.shortened_count:
            yield (
                f"{self.shortened_count:,} of {self.planned:,} results have shortened names, "
                "because the published ones are too long for a file; manifest.jsonl has their "
                "sources and targets"
            )

    def is_input(self, output: str) -> bool:
        """Return whether a name in the results folder is that of an image of the job."""
        return self._has_inputs_in_out and self._hash(output) in self._inputs_in_out

    def check_inputs_kept(self, rows: Rows) -> None:
        """Make sure that no result would overwrite an image of the job, after `check`.

        Args:
            rows: iterates over the rows, with the names of the results in the results folder.

        Raises:
            InputError: one error with every problem found.
        """
        if not self._has_inputs_in_out:
            return
        for number, (_, _, output, line) in enumerate(rows(ignore_bad_row)):
            image = ImageFile(self.out, output)
            if self.is_input(output) and self.exists(image):
                self._add_bad_row(
                    number,
                    line,
                    f"{output} would overwrite the image {image.path}: name another results "
                    "folder, or give the result another name in the column `out`",
                )
            if self._is_full():
                break
        self._raise_problems()

    def check_others_kept(self, rows: Rows) -> None:
        """Make sure that no result would overwrite what a folder holds before its first run.

        Later runs could not tell such files from results, so the job does not start, whatever is
        done with other bad rows.

        Args:
            rows: as in `check_inputs_kept`, but over the rows beyond `--limit` too.

        Raises:
            InputError: one error with every problem found.
        """
        others = self._files_in_out()
        if others is None:
            return
        for _, _, output, line in rows(ignore_bad_row):
            if self._hash(output) in others and not self.is_input(output):
                path = ImageFile(self.out, output).path
                problem = (
                    f"{output} would overwrite {path}, which `dptn transfer` did not write: name "
                    "another results folder, or give the result another name in the column `out`"
                )
                self._problems.append((line, problem))
            if self._is_full():
                break
        self._raise_problems()

    def _files_in_out(self) -> HashSet | None:
        """Return the names in the results folder, hashed; None if it is empty or missing."""
        storage, names = storage_of(self.out), HashSet()
        with user_errors(self.out):
            if not storage.is_dir(self.out):
                return None
            hashes = [self._hash(name) for name in storage.list_files(self.out, hidden=True)]
        names.add(np.unique(np.array(hashes, np.uint64)))
        return names if hashes else None

    def _hash(self, output: str) -> int:
        return hash64(self.name_key(output))

    def _is_full(self) -> bool:
        count = len(self._problems) + len(self.bad_rows) + len(self.bad_lines)
        return count >= MAX_PROBLEMS

    def _add_bad_line(self, number: int, line: str, reason: str) -> None:
        """Note a row that cannot be read."""
        if self.skip_bad_rows:
            # With the row itself, so that another bad row in this line is another failure.
            self.bad_lines[number] = f"line {number}, {line[:MAX_ROW_SHOWN]!r}: {reason}"
        else:
            self._problems.append((number, f"{_place(self.pair_list, number)}{reason}"))
        if self._is_full():
            raise InputError(TOO_MANY)

    def _add_bad_row(self, number: int, line: int, reason: str) -> None:
        """Note a row that was read and cannot be used.

        Args:
            number: its position among the rows that were read, from 0 on.
            line: its line in the pair list, or 0.
            reason: what is wrong with it.
        """
        if self.skip_bad_rows:
            self.bad_rows.setdefault(number, f"line {line}: {reason}" if line else reason)
        else:
            self._problems.append((line, f"{_place(self.pair_list, line)}{reason}"))

    def _add_inputs_in_out(self, images: Iterable[ImageFile]) -> None:
        """Remember which images of the job lie in the results folder."""
        names = [name for name in map(self._name_in_out, images) if name is not None]
        if names:
            self._has_inputs_in_out = True
            self._inputs_in_out.add(np.unique(np.array(list(map(self._hash, names)), np.uint64)))

    def _name_in_out(self, image: ImageFile) -> str | None:
        """Return the name of an image in the results folder; None if it lies elsewhere."""
        below, above = self._places(image.folder)
        if above is not None:  # the folder of images is the results folder, or is in it
            return image.name if above == "." else f"{above}/{image.name}"
        if below is not None and image.name.startswith(f"{below}/"):
            return image.name.removeprefix(f"{below}/")
        return None

    def _find_places(self, folder: Path) -> tuple[str | None, str | None]:
        """Return the name of the results folder in a folder, and that of the folder in it."""
        return (
            storage_of(folder).relative_name(folder, self.out),
            storage_of(self.out).relative_name(self.out, folder),
        )

    def _next_chunk(self, rows: Iterator[Row]) -> list[Row]:
        """Take the next rows. What cannot be read of the list is a problem like the others."""
        chunk: list[Row] = []
        try:
            chunk.extend(islice(rows, CHUNK))
        except InputError as error:  # the rows before it are in the chunk
            self._problems += ((0, problem) for problem in error.problems or (str(error),))
        return chunk

    def _check_outputs(self, chunk: list[Row]) -> None:
        for number, (source, target, output, line) in enumerate(chunk, start=self.planned):
            self.shortened_count += is_shortened(source.name, target.name, output)
            try:
                check_name_length(output)
            except InputError as error:
                reason = f"a result's name {error}; give it a shorter one in the column `out`"
                self._add_bad_row(number, line, reason)
            if output[0] in "gG" and is_contact_sheet(output):
                self._add_bad_row(
                    number,
                    line,
                    f"{output} is the name of a contact sheet (`--grid`); give the result another "
                    "name in the column `out`",
                )

    def _check_pose(self, image: ImageFile, chunk: list[Row]) -> None:
        self._first_image = self._first_image or image.name
        try:
            pose = self.pose_of(image)
            if pose is not None:
                self._check_size(image, pose.image_size)
            if pose is not None and pose.people > 1:
                self.multi_person_count += 1
                if self.multi_person_count <= MAX_NAMES_SHOWN:
                    self.multi_person_names.append(name_with_people(image.name, pose))
            elif pose is None and self.exists(image):
                self.missing_pose.append(image)
            elif pose is None:
                self._lacking_count += 1
                self._lacking.add(np.array([hash64(image.key)], np.uint64))
                if self._lacking_count <= MAX_NAMES_SHOWN:
                    self._lacking_names.append(_with_line(image, chunk))
        except InputError as error:
            self._add_image_problem(image, chunk, str(error))

    def _check_size(self, image: ImageFile, stated: Size | None) -> None:
        """Note if an image was resized after its keypoints were made; look at the first few."""
        if stated is None or self._sizes_checked == MAX_SIZES_CHECKED:
            return
        self._sizes_checked += 1
        try:
            if storage_of(image.folder).is_remote or not self.exists(image):
                return
            size = read_image_size(image.path)
        except InputError:
            return  # its item will fail with the reason
        if size != stated and is_resized(stated, size):
            self.notes.append(
                "keypoints are scaled where the pose file states another image size: for example, "
                f"{image.name} has {size[1]}x{size[0]} pixels, and {stated[1]}x{stated[0]} in the "
                "pose file"
            )
            self._sizes_checked = MAX_SIZES_CHECKED  # one example is enough

    def _check_source(self, image: ImageFile, chunk: list[Row]) -> None:
        try:
            if self.exists(image):
                self._existing_sources += 1
            else:
                self._first_missing = self._first_missing or image.folder / image.name
                self._absent.add(np.array([hash64(image.key)], np.uint64))
                self.missing_source_count += 1
                if self.missing_source_count <= MAX_NAMES_SHOWN:
                    self.missing_sources.append(_with_line(image, chunk))
        except InputError as error:
            self._add_image_problem(image, chunk, str(error))

    def _add_image_problem(self, image: ImageFile, chunk: list[Row], reason: str) -> None:
        """Note that an image's pose or name cannot be used, unless its items are to fail."""
        if not self.skip_bad_rows:
            line = _first_line(image, chunk)
            self._problems.append((line, f"{_place(self.pair_list, line)}{reason}"))

    def _count_hopeless(self, chunk: list[Row]) -> None:
        if self._lacking_count or self.missing_source_count:
            self._hopeless_count += sum(
                hash64(source.key) in self._absent or hash64(target.key) in self._lacking
                for source, target, _, _ in chunk
            )

    def _check_clashes(self, rows: Iterator[Row], duplicates: set[int]) -> None:
        """Find the pairs that would write the same result.

        Args:
            rows: all rows, from the start.
            duplicates: hashes of the results' names that occur more than once.
        """
        first_rows: dict[str, Row] = {}
        with suppress(InputError):  # which the pass before has met
            for number, row in enumerate(rows):
                if self._hash(row[2]) not in duplicates:
                    continue
                first = first_rows.setdefault(self.name_key(row[2]), row)
                if first is not row:
                    self._add_bad_row(number, row[3], _describe_clash(first, row))
                if self._is_full():
                    break

    def _describe_lacking(self) -> str:
        rest = self._lacking_count - len(self._lacking_names)
        more = f" and {rest:,} more" if rest else ""
        return (
            f"no keypoints for {', '.join(self._lacking_names)}{more}, and no image to detect them "
            "on"
        )

    def _raise_problems(self) -> None:
        if self.missing_source_count and not self._existing_sources:
            self._problems.append(
                (
                    0,
                    f"none of the {self.missing_source_count:,} source images exists, for example "
                    f"{self._first_missing}; --images names a list's folder",
                )
            )
        elif self._hopeless_count and self._hopeless_count == self.planned:
            self._problems.append((0, f"no item can be generated: {self._describe_lacking()}"))
        elif self._problems and self._lacking_count:
            self._problems.append((0, self._describe_lacking()))
        elif self.bad_lines and len(self.bad_lines) + len(self.bad_rows) == self.planned:
            reason = next(iter([*self.bad_lines.values(), *self.bad_rows.values()]))
            self._problems.append(
                (0, f"{self.pair_list}: no row can be used; for example, {reason}")
            )
        problems = [problem for _, problem in sorted(self._problems, key=lambda each: each[0])]
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            raise InputError(f"{len(problems):,} problems, nothing was started:", tuple(problems))


def name_with_people(name: str, pose: FoundPose) -> str:
    """Return the name of an image with its number of people: `beach.jpg (12)`."""
    return f"{name} ({pose.people:,})"


def _new_images(known: HashSet, images: Iterable[ImageFile]) -> list[ImageFile]:
    """Add images to a set, and return those that are new, in order."""
    # Rows repeat the same few objects, and ids are faster to compare than images.
    by_id = {id(image): image for image in images}
    distinct = list(dict.fromkeys(by_id.values()))
    is_new = known.add(np.array([hash64(image.key) for image in distinct], np.uint64))
    return [distinct[i] for i in np.flatnonzero(is_new)]


def _place(pair_list: Path | None, line: int) -> str:
    return f"{pair_list}, line {line}: " if line else ""


def _first_line(image: ImageFile, chunk: list[Row]) -> int:
    """Return which line of the pair list names an image first; 0 for folders."""
    return next((row[3] for row in chunk if image is row[0] or image is row[1]), 0)


def _with_line(image: ImageFile, chunk: list[Row]) -> str:
    """Return the name of an image with its first line, as in `a.png (line 3)`."""
    line = _first_line(image, chunk)
    return f"{image.name} (line {line})" if line else image.name


def ignore_bad_row(number: int, line: str, reason: str) -> None:
    """Pass over a row that cannot be read, which an earlier pass has told."""


def _describe_clash(first: Row, second: Row) -> str:
    pairs = [f"{source.name} -> {target.name}" for source, target, _, _ in (first, second)]
    if second[3] and first[:3] == second[:3]:
        return f"duplicate of line {first[3]}, {pairs[0]}; remove one of the two"
    if pairs[0] == pairs[1]:  # from two folders
        source, target = second[:2]
        pairs[1] = f"{source.folder / source.name} -> {target.folder / target.name}"
    lines = f" (lines {first[3]} and {second[3]})" if second[3] else ""
    same = f", which the disk takes for {first[2]}" if first[2] != second[2] else ""
    return (
        f"{pairs[0]} and {pairs[1]} would both write {second[2]}{same}{lines}; a pair list can "
        "name results in a column `out`"
    )
