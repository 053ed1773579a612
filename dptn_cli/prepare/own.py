"""Prepare your own images: group them by person, split the people, and write the pairs."""

import csv
import io
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import write_file
from dptn_cli.io.image_folders import ImageFile, find_images
from dptn_cli.io.images import read_image_size
from dptn_cli.io.left_out import LeftOut
from dptn_cli.io.paths import checked_name
from dptn_cli.io.results_folder import TEMPORARY_PREFIX
from dptn_cli.keypoints import Annotations
from dptn_cli.keypoints.annotation_csv import format_csv
from dptn_cli.prepare.common import PHASES, PrepareResult, copy_file, count_names
from dptn_cli.types import Size

Groups: TypeAlias = Sequence[Sequence[str]]
"""The names of each person's images."""


def identities_of(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Extract who is in each image from its name.

    Args:
        names: names of the images.
        pattern: a regular expression whose first group is the identity.

    Returns:
        The identity by image name, without the names that do not match.

    Raises:
        InputError: the pattern is not a regular expression, or has no group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"{pattern!r} is not a regular expression: {error}") from error
    if not compiled.groups:
        raise InputError(f"{pattern!r} has no group: it needs one, as in '^(.+)_'")
    matches = {name: compiled.search(name) for name in names}
    return {name: match[1] for name, match in matches.items() if match and match[1]}


def read_identities(path: Path) -> dict[str, str]:
    """Read who is in each image from a CSV with the columns `name` and `identity`.

    Returns:
        The identity by image name, without the rows that lack either.

    Raises:
        InputError: the file cannot be read, is not a CSV with these columns, or gives an image two
            identities.
    """
    try:
        with user_errors(path), path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"name", "identity"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}: expected a CSV with the columns name,identity")
            return _identities_of_rows(path, reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV in UTF-8: {error}") from error


def _identities_of_rows(path: Path, reader: "csv.DictReader[str]") -> dict[str, str]:
    identities: dict[str, str] = {}
    for row in reader:
        name, identity = ((row[key] or "").strip() for key in ("name", "identity"))
        if not name or not identity:
            continue
        line = f"{path}, line {reader.line_num}"
        try:
            name = checked_name(name)
        except InputError as error:
            raise InputError(f"{line}: {error}") from error
        known = identities.setdefault(name, identity)
        if known != identity:
            raise InputError(f"{line}: {name} is {identity} here, and {known} in an earlier line")
    return identities


def prepare_own(
    images: Path,
    poses: Annotations,
    identities: Mapping[str, str],
    out: Path,
    *,
    test_share: float,
    seed: int,
) -> PrepareResult:
    """Write the published layout for your own images, split into phases by person.

    No person is in both phases. The pairs of a phase are all ordered pairs of two images of the
    same person.

    Args:
        images: folder of the images.
        poses: keypoints by image name.
        identities: who is in the image, by image name.
        out: folder for `train/`, `test/`, the annotations and the pairs.
        test_share: share of the people for the test phase, 0..1.
        seed: seed of the random split.

    Raises:
        InputError: nobody has two usable images, `out` holds another preparation or the images
            themselves, or a file cannot be read or written.
    """
    folder = images.resolve()
    listed, missing = _find_listed(folder, identities)
    usable, problems = _find_usable(folder, poses, listed)
    left_out = LeftOut()
    problems += _unlisted(images, poses, identities, find_images([images], out, left_out))
    notes = (*_missing_note(images, missing), *left_out.notes())
    people: dict[str, list[str]] = {}
    for name in usable:
        people.setdefault(identities[name], []).append(name)
    problems += [
        f"{names[0]}: the only image of {person}"
        for person, names in people.items()
        if len(names) == 1
    ]
    people = {person: names for person, names in people.items() if len(names) > 1}
    if not people:
        reasons = "; ".join([*notes, *problems][:3])
        raise InputError(f"{images}: nobody has two usable images: {reasons}")
    split = _split(people, test_share, seed)
    _check_out(out, folder, split)
    counts: dict[str, int] = {}
    for phase, groups in split.items():
        counts |= _write_phase(folder, poses, groups, out, phase)
    return PrepareResult(counts, problems, ready=True, notes=notes)


def _find_listed(folder: Path, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Sort listed names into those to look at and those that are not in the folder."""
    listed: list[str] = []
    missing: list[str] = []
    for name in sorted(names):
        try:
            is_there = checked_name(name) != name or (folder / name).is_file()
        except (InputError, OSError):
            is_there = True  # `_find_usable` says why it cannot be used.
        (listed if is_there else missing).append(name)
    return listed, missing


def _missing_note(images: Path, missing: Sequence[str]) -> list[str]:
    return count_names(
        missing,
        f"listed image is not in {images}, and is passed over",
        f"listed images are not in {images}, and are passed over",
    )


def _unlisted(
    images: Path, poses: Annotations, identities: Mapping[str, str], files: Iterable[ImageFile]
) -> list[str]:
    """Return a line for the images without keypoints, and one for those of nobody known."""
    names = [file.name for file in files if file.name not in identities]
    without_pose = [name for name in names if name not in poses]
    without_person = [name for name in names if name in poses]
    return [
        *count_names(
            without_pose,
            f"image in {images} has no keypoints",
            f"images in {images} have no keypoints",
        ),
        *count_names(
            without_person,
            f"image in {images} has no identity",
            f"images in {images} have no identity",
        ),
    ]


def _find_usable(
    folder: Path, poses: Annotations, names: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Find the images that have keypoints and the most common size.

    Args:
        folder: the folder of the images, resolved.
        poses: keypoints by image name.
        names: names of images, sorted.

    Returns:
        Their names, and the problems with the others.
    """
    problems: list[str] = []
    sizes: dict[str, Size] = {}
    for name in names:
        try:
            if (plain := checked_name(name)) != name:
                raise InputError(f"must be written as {plain}")
            if name not in poses:
                raise InputError("no keypoints")
            if not (poses[name] >= 0).any():
                raise InputError("all 18 joints are missing")
            sizes[name] = read_image_size(folder / name)
        except InputError as error:
            problems.append(f"{name}: {error}")
    if not sizes:
        return [], problems
    common = Counter(sizes.values()).most_common(1)[0][0]
    problems += [
        f"{name}: {size[0]}x{size[1]}, most have {common[0]}x{common[1]}"
        for name, size in sizes.items()
        if size != common
    ]
    return [name for name, size in sizes.items() if size == common], problems


def _split(people: Mapping[str, Sequence[str]], test_share: float, seed: int) -> dict[str, Groups]:
    """Return the images of each person by phase, without a phase that has no people.

    Training keeps at least one person. So does testing, unless the share is 0.
    """
    ordered = sorted(people)
    shuffled = random.Random(seed).sample(ordered, len(ordered))
    test_count = max(round(test_share * len(people)), test_share > 0)
    test_people = set(shuffled[: min(test_count, len(people) - 1)])
    split: dict[str, Groups] = {
        "train": [people[person] for person in ordered if person not in test_people],
        "test": [people[person] for person in ordered if person in test_people],
    }
    return {phase: groups for phase, groups in split.items() if groups}


def _check_out(out: Path, folder: Path, split: Mapping[str, Groups]) -> None:
    """Refuse a folder with files of another preparation: its people might be in both phases."""
    if any(folder.is_relative_to((out / phase).resolve()) for phase in PHASES):
        raise InputError(f"{out}: the images themselves are in it; choose another folder")
    expected = {out / name for phase in split for name in _list_names(phase)}
    for phase, groups in split.items():
        expected.update(out / phase / name for names in groups for name in names)
    for path in _prepared_files(out):
        if path not in expected and not path.name.startswith(TEMPORARY_PREFIX):
            raise InputError(
                f"{path}: left from another preparation; remove {out}, or choose another folder"
            )


def _prepared_files(out: Path) -> Iterator[Path]:
    """Yield every file that `dptn train` might read from a folder."""
    for phase in PHASES:
        for pattern in (f"{phase}/**/*", *(f"*{name}" for name in _list_names(phase))):
            yield from (path for path in out.glob(pattern) if not path.is_dir())


def _list_names(phase: str) -> tuple[str, str]:
    return f"annotation-{phase}.csv", f"pairs-{phase}.csv"


def _write_phase(
    folder: Path, poses: Annotations, groups: Groups, out: Path, phase: str
) -> dict[str, int]:
    """Copy a phase's images, write its lists, and return the numbers to show."""
    names = [name for group in groups for name in group]
    for name in names:
        copy_file(folder / name, out / phase / name)
    content = format_csv((name, poses[name]) for name in names)
    annotations, pairs = (out / name for name in _list_names(phase))
    write_file(annotations, lambda file: file.write(content))
    write_file(pairs, lambda file: _write_pairs(file, groups))
    return {
        f"{phase} people": len(groups),
        f"{phase} images": len(names),
        f"{phase} pairs": sum(len(group) * (len(group) - 1) for group in groups),
    }


def _write_pairs(file: BinaryIO, groups: Groups) -> None:
    """Write all ordered pairs of two images of the same person."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", "to"))
    for names in groups:
        writer.writerows(itertools.permutations(names, 2))
    text.detach()  # flushes, and leaves `file` open for its owner
