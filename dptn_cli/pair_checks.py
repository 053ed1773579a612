"""What must be right with all pairs before anything starts, found in one pass over them.

A name of a result takes eight bytes, on disk from a million on; a distinct picture takes eight
bytes in memory. No check is put off, however long the list.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dptn_cli.digests import DigestSet, RepeatFinder, digest
from dptn_cli.errors import InputError
from dptn_cli.files import check_length, is_contact_sheet
from dptn_cli.folders import Picture
from dptn_cli.records import FoundPose

Row: TypeAlias = tuple[Picture, Picture, str]
"""Source, target, and the result's name."""

CHUNK = 1 << 11  # rows
MOST_PROBLEMS = 100_000  # found before the pass is given up
MOST_CROWDS_NAMED = 5


@dataclass
class PairChecks:
    """What one pass over the pairs finds.

    Attributes:
        pose: looks up the pose of a picture; None where nothing is known of it.
        is_there: whether a picture is there.
        planned: number of pairs.
        missing: names of source pictures that are not there.
        unposed: pictures without a pose, on which one can be detected.
        crowds: number of pictures with more than one person.
        crowd_names: of the first few of them.
    """

    pose: Callable[[Picture], FoundPose | str | None]
    is_there: Callable[[Picture], bool]
    planned: int = 0
    missing: list[str] = field(default_factory=list)
    unposed: list[Picture] = field(default_factory=list)
    crowds: int = 0
    crowd_names: list[str] = field(default_factory=list)
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
                self._look_at_pictures(chunk)
                if len(self._problems) >= MOST_PROBLEMS:
                    self._problems.append("the rest of the list was not looked at")
                    break
            repeated = outputs.repeated(MOST_PROBLEMS)
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

    def _look_at_pictures(self, chunk: list[Row]) -> None:
        for picture in _new(self._seen, (picture for row in chunk for picture in row[:2])):
            self._look_at_pose(picture)
        for picture in _new(self._sources, (row[0] for row in chunk)):
            self._look_at_source(picture)

    def _look_at_pose(self, picture: Picture) -> None:
        try:
            found = self.pose(picture)
            if found is None:
                self._look_for(picture)
        except InputError as error:
            self._problems.append(str(error))
            return
        if isinstance(found, FoundPose) and found.people > 1:
            self.crowds += 1
            if self.crowds <= MOST_CROWDS_NAMED:
                self.crowd_names.append(f"{picture.name} ({found.people:,})")

    def _look_for(self, picture: Picture) -> None:
        """Where there are no keypoints, there must be a picture to detect them on."""
        if self.is_there(picture):
            self.unposed.append(picture)
        else:
            self._problems.append(
                f"no keypoints for {picture.name}, and no picture {picture.folder / picture.name} "
                "to detect them on"
            )

    def _look_at_source(self, picture: Picture) -> None:
        try:
            if self.is_there(picture):
                self._present += 1
            else:
                self._first_missing = self._first_missing or picture.folder / picture.name
                self.missing.append(picture.name)
        except InputError as error:
            self._problems.append(str(error))

    def _finish(self) -> None:
        problems = self._problems
        if self.missing and not self._present:
            problems.append(
                f"none of the {len(self.missing):,} source pictures is there, "
                f"{self._first_missing} for instance; --images names a list's folder"
            )
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            raise InputError(f"{len(problems):,} problems, nothing was started:", tuple(problems))


def _new(known: DigestSet, pictures: Iterable[Picture]) -> list[Picture]:
    """Those that were not met before, in order."""
    objects = {id(picture): picture for picture in pictures}  # few, and ids are quick to compare
    met = list(dict.fromkeys(objects.values()))
    new = known.add(np.array([digest(picture.key) for picture in met], np.uint64))
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
            if len(clashes) >= MOST_PROBLEMS:
                break
    return clashes
