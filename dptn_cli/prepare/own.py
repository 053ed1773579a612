"""Pictures of one's own: who is on which, and so which pairs there are to learn from."""

import csv
import itertools
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from dptn_cli.errors import InputError
from dptn_cli.files import checked_name, inside, make_folder
from dptn_cli.images import picture_size
from dptn_cli.keypoints import Annotations, format_pose
from dptn_cli.prepare.report import Prepared
from dptn_cli.records import Size

HEADER = "name:keypoints_y:keypoints_x"


def identities_of(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Who is on each picture, by a regular expression over its name.

    Args:
        names: of the pictures.
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
    """Who is on each picture, from a CSV with the columns `name` and `identity`.

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
    pictures: Path,
    poses: Annotations,
    identities: Mapping[str, str],
    out: Path,
    *,
    test_share: float,
    seed: int,
) -> Prepared:
    """Split people, never a person's pictures, into phases; write the published layout.

    Args:
        pictures: folder of the pictures.
        poses: keypoints by name.
        identities: who is on which picture, by name.
        out: gets `train/`, `test/`, annotations and pairs: all ordered pairs of two pictures of
            one person.
        test_share: of the people, for the test phase.
        seed: of the split.

    Raises:
        InputError: nothing to make a pair of.
    """
    folder = pictures.resolve()
    usable, problems = _usable(folder, poses, identities)
    people: dict[str, list[str]] = {}
    for name in usable:
        people.setdefault(identities[name], []).append(name)
    alone = [person for person, names in people.items() if len(names) < 2]
    problems += [f"{people[person][0]}: the only picture of {person}" for person in alone]
    pairs = {person: names for person, names in people.items() if len(names) > 1}
    if not pairs:
        raise InputError(f"{pictures}: nobody is on two usable pictures: {'; '.join(problems[:3])}")
    test = _test_people(sorted(pairs), test_share, seed)
    counts: dict[str, int] = {}
    for phase in ("train", "test"):
        groups = [
            names
            for person, names in sorted(pairs.items())
            if (person in test) == (phase == "test")
        ]
        if groups:
            counts |= _write_phase(folder, poses, groups, out, phase)
    return Prepared(counts, problems)


def _usable(
    folder: Path, poses: Annotations, identities: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Names of pictures of the commonest size with keypoints, and what is wrong with others."""
    problems: list[str] = []
    sizes: dict[str, Size] = {}
    for name in sorted(identities):
        try:
            if name not in poses:
                raise InputError("no keypoints")
            if not (poses[name] >= 0).any():
                raise InputError("all 18 joints are missing")
            sizes[name] = picture_size(inside(folder, name))
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


def _test_people(people: list[str], share: float, seed: int) -> set[str]:
    shuffled = random.Random(seed).sample(people, len(people))
    count = round(share * len(people))
    if share > 0 and len(people) > 1:
        count = min(max(count, 1), len(people) - 1)
    return set(shuffled[:count])


def _write_phase(
    folder: Path, poses: Annotations, groups: list[list[str]], out: Path, phase: str
) -> dict[str, int]:
    names = [name for group in groups for name in group]
    for name in names:
        copy = out / phase / PurePosixPath(name)
        make_folder(copy.parent)
        shutil.copyfile(folder / name, copy)
    rows = [f"{format_pose(name, poses[name])}\n" for name in names]
    (out / f"annotation-{phase}.csv").write_text("".join([f"{HEADER}\n", *rows]), encoding="utf-8")
    pairs = 0
    with (out / f"pairs-{phase}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("from", "to"))
        for pair in _pairs(groups):
            writer.writerow(pair)
            pairs += 1
    return {
        f"{phase} people": len(groups),
        f"{phase} pictures": len(names),
        f"{phase} pairs": pairs,
    }


def _pairs(groups: list[list[str]]) -> Iterator[tuple[str, str]]:
    for names in groups:
        yield from itertools.permutations(names, 2)
