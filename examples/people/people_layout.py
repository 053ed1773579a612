"""The files of a data set in the published layout, and the log from which it continues."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Row = tuple[str, list[float], list[float]]
"""Name of an image, and the y and x coordinates of its joints; -1 for a joint that is hidden."""


@dataclass(frozen=True)
class Settings:
    """What every image of a set depends on.

    Attributes:
        assets: folder of MakeHuman's assets.
        seed: the set's seed.
        size: (height, width) of the images, pixels.
    """

    assets: Path
    seed: int
    size: tuple[int, int]


class SetError(Exception):
    """A folder holds another set, or its log is damaged."""


def check_settings(out: Path, settings: Settings) -> None:
    """Check that a folder's earlier images were made with the same settings, and record these.

    Raises:
        SetError: they were made with others.
    """
    path = out / "settings.json"
    wanted = {"seed": settings.seed, "size": list(settings.size)}
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else wanted
    except ValueError as error:
        raise SetError(f"{path}: damaged; remove it if the settings are the same") from error
    if found != wanted:
        raise SetError(f"{out} was made with {found}, not {wanted}: choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def read_log(path: Path, images: Path) -> dict[int, list[Row]]:
    """Return the rows of the people who are finished; a last line that was cut off is removed.

    Args:
        path: the log.
        images: folder of the images. A person who lacks one is not finished.

    Raises:
        SetError: a line cannot be read.
    """
    if not path.is_file():
        return {}
    done: dict[int, list[Row]] = {}
    whole = 0
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            number, rows = json.loads(line)
            done[number] = [(str(name), list(ys), list(xs)) for name, ys, xs in rows]
        except (ValueError, TypeError) as error:
            raise SetError(f"{path}: damaged; remove it to render all people again") from error
        whole += len(line)
    os.truncate(path, whole)
    names = {entry.name for entry in os.scandir(images)}
    return {n: rows for n, rows in done.items() if all(name in names for name, _, _ in rows)}


def write_keypoints(path: Path, people: Sequence[Sequence[Row]]) -> None:
    """Write the keypoint file: for each image its name, the y and the x coordinates."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(
            file, delimiter=":", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\"
        )
        writer.writerow(("name", "keypoints_y", "keypoints_x"))
        for name, ys, xs in itertools.chain.from_iterable(people):
            writer.writerow((name, " " + json.dumps(ys), " " + json.dumps(xs)))


def write_pairs(path: Path, people: Sequence[Sequence[Row]], count: int, seed: int) -> None:
    """Write ordered pairs of two images of one person: `count` of each, or all if it is 0."""
    rng = np.random.default_rng([seed, 1 << 30])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("from", "to"))
        for rows in people:
            pairs = list(itertools.permutations([row[0] for row in rows], 2))
            if count:
                chosen = rng.choice(len(pairs), min(count, len(pairs)), replace=False)
                pairs = [pairs[k] for k in chosen]
            writer.writerows(pairs)
