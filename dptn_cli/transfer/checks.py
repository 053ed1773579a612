"""What must be right with all pairs before anything starts, found in one pass over them.

A name of a result takes eight bytes, on disk from a million on; a distinct image takes eight
bytes in memory. No check is put off, however long the list.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.files import check_length, is_contact_sheet
from dptn_cli.io.hash_sets import DigestSet, RepeatFinder, digest
from dptn_cli.io.image_folders import ImageFile
from dptn_cli.types import FoundPose

Row: TypeAlias = tuple[ImageFile, ImageFile, str]
"""Source, target, and the result's name."""

CHUNK = 1 << 11  # rows
MAX_PROBLEMS = 100_000  # found before the pass is given up
MAX_CROWDS_NAMED = 5


@dataclass
class PairChecks:
    """What one pass over the pairs finds.

    Attributes:
        pose: looks up the pose of an image; None where nothing is known of it.
        is_there: whether an image is there.
        planned: number of pairs.
        missing: names of source images that are not there.
        missing_pose: images without a pose, on which one can be detected.
        multi_person_count: number of images with more than one person.
        multi_person_names: of the first few of them.
    """

    pose: Callable[[ImageFile], FoundPose | str | None]
    is_there: Callable[[ImageFile], bool]
    planned: int = 0
    missing: list[str] = field(default_factory=list)
    missing_pose: list[ImageFile] = field(default_factory=list)
    multi_person_count: int = 0
    multi_person_names: list[str] = field(default_factory=list)
    _seen: DigestSet = field(default_factory=DigestSet)
    _sources: DigestSet = field(default_factory=DigestSet)
    _present: int = 0
    _first_missing: Path | None = None
    _problems: list[str] = field(default_factory=list)

    def look_at(self, rows: Callable[[], Iterator[Row]]) -> None:
        """Look at every row.

        Raises:
            InputError: all that was found, as one error.
        """
        with RepeatFinder() as outputs:
            reading = rows()
            while chunk := list(islice(reading, CHUNK)):
                self.planned += len(chunk)
                outputs.add(np.array([digest(row[2]) for row in chunk], np.uint64))
                self._look_at_outputs(chunk)
                self._look_at_images(chunk)
                if len(self._problems) >= MAX_PROBLEMS:
                    self._problems.append("the rest of the list was not looked at")
                    break
            repeated = outputs.repeated(MAX_PROBLEMS)
        if repeated:
            self._problems += _name_clashes(rows(), repeated)
        self._finish()

    def _look_at_outputs(self, chunk: list[Row]) -> None:
        for _, _, output in chunk:
            try:
                check_length(output)
            except InputError as error:
                self._problems.append(f"a result's name {error}")
            if output[0] in "gG" and is_contact_sheet(output):
                self._problems.append(
                    f"{output} is the name of a contact sheet (`--grid`); "
                    "give the result another name in the column `out`"
                )

    def _look_at_images(self, chunk: list[Row]) -> None:
        for image in _new(self._seen, (image for row in chunk for image in row[:2])):
            self._look_at_pose(image)
        for image in _new(self._sources, (row[0] for row in chunk)):
            self._look_at_source(image)

    def _look_at_pose(self, image: ImageFile) -> None:
        try:
            found = self.pose(image)
            if found is None:
                self._look_for(image)
        except InputError as error:
            self._problems.append(str(error))
            return
        if isinstance(found, FoundPose) and found.people > 1:
            self.multi_person_count += 1
            if self.multi_person_count <= MAX_CROWDS_NAMED:
                self.multi_person_names.append(f"{image.name} ({found.people:,})")

    def _look_for(self, image: ImageFile) -> None:
        """Where there are no keypoints, there must be an image to detect them on."""
        if self.is_there(image):
            self.missing_pose.append(image)
        else:
            self._problems.append(
                f"no keypoints for {image.name}, and no image {image.folder / image.name} "
                "to detect them on"
            )

    def _look_at_source(self, image: ImageFile) -> None:
        try:
            if self.is_there(image):
                self._present += 1
            else:
                self._first_missing = self._first_missing or image.folder / image.name
                self.missing.append(image.name)
        except InputError as error:
            self._problems.append(str(error))

    def _finish(self) -> None:
        problems = self._problems
        if self.missing and not self._present:
            problems.append(
                f"none of the {len(self.missing):,} source images is there, "
                f"{self._first_missing} for instance; --images names a list's folder"
            )
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            raise InputError(f"{len(problems):,} problems, nothing was started:", tuple(problems))


def _new(known: DigestSet, images: Iterable[ImageFile]) -> list[ImageFile]:
    """Those that were not met before, in order."""
    objects = {id(image): image for image in images}  # few, and ids are quick to compare
    met = list(dict.fromkeys(objects.values()))
    new = known.add(np.array([digest(image.key) for image in met], np.uint64))
    return [met[i] for i in np.flatnonzero(new)]


def _name_clashes(rows: Iterator[Row], repeated: set[int]) -> list[str]:
    """What to say of the results that two pairs would write."""
    first: dict[str, str] = {}
    clashes = []
    for source, target, output in rows:
        if digest(output) in repeated:
            pair = f"{source.name} -> {target.name}"
            if first.get(output) == pair:  # of two folders, or the same row twice
                pair = f"{source.folder / source.name} -> {target.folder / target.name}"
            if output in first:
                clashes.append(
                    f"{first[output]} and {pair} would both write {output}; a pair list can give "
                    "one another name in a column `out`"
                )
            first.setdefault(output, pair)
            if len(clashes) >= MAX_PROBLEMS:
                break
    return clashes
