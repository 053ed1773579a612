"""Images of one's own: who is on which, and so which pairs there are to learn from."""

import csv
import io
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from dptn_cli.errors import InputError
from dptn_cli.io.files import join_inside, write_file
from dptn_cli.io.images import read_image_size
from dptn_cli.io.paths import checked_name
from dptn_cli.io.results_folder import TEMPORARY_PREFIX
from dptn_cli.keypoints import Annotations, format_pose
from dptn_cli.prepare.copies import copy_file
from dptn_cli.prepare.report import Prepared
from dptn_cli.types import Size

HEADER = "name:keypoints_y:keypoints_x"
PHASES = ("train", "test")

Groups: TypeAlias = Sequence[Sequence[str]]
"""Names of images, by person."""


def identities_of(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Who is on each image, by a regular expression over its name.

    Args:
        names: of the images.
        pattern: its first group is the identity; names that do not match have none.

    Raises:
        InputError: not a regular expression with a group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"{pattern!r} is not a regular expression: {error}") from error
    if not compiled.groups:
        raise InputError(f"{pattern!r} has no group: it needs one, as in '^(.+)_'")
    found = {name: compiled.search(name) for name in names}
    return {name: match[1] for name, match in found.items() if match and match[1]}


def read_identities(path: Path) -> dict[str, str]:
    """Who is on each image, from a CSV with the columns `name` and `identity`.

    Raises:
        InputError: no such file, or it has no such columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"name", "identity"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}: a CSV with the columns name,identity is needed")
            return {
                checked_name(row["name"]): row["identity"].strip()
                for row in reader
                if row["name"] and row["identity"]
            }
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV in UTF-8: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def prepare_own(
    images: Path,
    poses: Annotations,
    identities: Mapping[str, str],
    out: Path,
    *,
    test_share: float,
    seed: int,
) -> Prepared:
    """Split people, never a person's images, into phases; write the published layout.

    Args:
        images: folder of the images.
        poses: keypoints by name.
        identities: who is on which image, by name.
        out: gets `train/`, `test/`, annotations and pairs: all ordered pairs of two images of
            one person.
        test_share: of the people, for the test phase.
        seed: of the split.

    Raises:
        InputError: nothing to make a pair of, `out` holds another preparation or the images
            themselves, or a file cannot be read or written.
    """
    folder = images.resolve()
    usable, problems = _usable(folder, poses, identities)
    people = _by_person(usable, identities)
    alone = [person for person, names in people.items() if len(names) < 2]
    problems += [f"{people[person][0]}: the only image of {person}" for person in alone]
    pairs = {person: names for person, names in people.items() if len(names) > 1}
    if not pairs:
        raise InputError(f"{images}: nobody is on two usable images: {'; '.join(problems[:3])}")
    split = _split(pairs, test_share, seed)
    _check_out(out, folder, split)
    counts: dict[str, int] = {}
    for phase, groups in split.items():
        counts |= _write_phase(folder, poses, groups, out, phase)
    return Prepared(counts, problems, ready=True)


def _by_person(names: Iterable[str], identities: Mapping[str, str]) -> dict[str, list[str]]:
    people: dict[str, list[str]] = {}
    for name in names:
        people.setdefault(identities[name], []).append(name)
    return people


def _usable(
    folder: Path, poses: Annotations, identities: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Names of images of the commonest size with keypoints, and what is wrong with others."""
    problems: list[str] = []
    sizes: dict[str, Size] = {}
    for name in sorted(identities):
        try:
            if (plain := checked_name(name)) != name:
                raise InputError(f"must be written as {plain}")
            if name not in poses:
                raise InputError("no keypoints")
            if not (poses[name] >= 0).any():
                raise InputError("all 18 joints are missing")
            sizes[name] = read_image_size(join_inside(folder, name))
        except InputError as error:
            problems.append(f"{name}: {error}")
    if not sizes:
        return [], problems
    common = Counter(sizes.values()).most_common(1)[0][0]
    odd = [name for name, size in sizes.items() if size != common]
    problems += [
        f"{n}: {sizes[n][0]}x{sizes[n][1]}, most have {common[0]}x{common[1]}" for n in odd
    ]
    return [name for name in sizes if name not in set(odd)], problems


def _split(people: Mapping[str, Sequence[str]], test_share: float, seed: int) -> dict[str, Groups]:
    """The images of each person, by phase; a phase without people is left out."""
    test = _test_people(sorted(people), test_share, seed)
    split = {
        phase: [people[one] for one in sorted(people) if (one in test) == (phase == "test")]
        for phase in PHASES
    }
    return {phase: groups for phase, groups in split.items() if groups}


def _test_people(people: list[str], share: float, seed: int) -> set[str]:
    """At least one for testing, where a share is asked for, and one for training."""
    shuffled = random.Random(seed).sample(people, len(people))
    wanted = max(round(share * len(people)), share > 0)
    return set(shuffled[: min(wanted, len(people) - 1)])


def _check_out(out: Path, folder: Path, split: Mapping[str, Groups]) -> None:
    """Refuse what would be left of another preparation: its people might be in both phases."""
    if any(folder.is_relative_to((out / phase).resolve()) for phase in PHASES):
        raise InputError(f"{out}: the images themselves are in it; name another folder")
    ours = {out / name for phase in split for name in _lists(phase)}
    for phase, groups in split.items():
        ours.update(out / phase / name for names in groups for name in names)
    for path in _prepared_files(out):
        if path not in ours and not path.name.startswith(TEMPORARY_PREFIX):
            raise InputError(
                f"{path}: left from another preparation; remove {out}, or name another folder"
            )


def _prepared_files(out: Path) -> Iterator[Path]:
    """All that `dptn train` might find in a folder."""
    for phase in PHASES:
        for pattern in (f"{phase}/**/*", *(f"*{name}" for name in _lists(phase))):
            yield from (path for path in out.glob(pattern) if not path.is_dir())


def _lists(phase: str) -> tuple[str, str]:
    return f"annotation-{phase}.csv", f"pairs-{phase}.csv"


def _write_phase(
    folder: Path, poses: Annotations, groups: Groups, out: Path, phase: str
) -> dict[str, int]:
    names = [name for group in groups for name in group]
    for name in names:
        copy_file(folder / name, out / phase / name)
    rows = [HEADER, *(format_pose(name, poses[name]) for name in names)]
    annotations, pairs = (out / name for name in _lists(phase))
    write_file(annotations, lambda file: file.write(("\n".join(rows) + "\n").encode()))
    write_file(pairs, lambda file: _write_pairs(file, groups))
    return {
        f"{phase} people": len(groups),
        f"{phase} images": len(names),
        f"{phase} pairs": sum(len(group) * (len(group) - 1) for group in groups),
    }


def _write_pairs(file: BinaryIO, groups: Groups) -> None:
    """All ordered pairs of two images of one person."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", "to"))
    for names in groups:
        writer.writerows(itertools.permutations(names, 2))
    text.detach()
