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


def read_log(path: Path) -> dict[int, list[Row]]:
    """Return the rows of the people who were finished; a last line that was cut off is removed."""
    if not path.is_file():
        return {}
    done: dict[int, list[Row]] = {}
    whole = 0
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        number, rows = json.loads(line)
        done[number] = [tuple(row) for row in rows]
        whole += len(line)
    os.truncate(path, whole)
    return done


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
    """Write ordered pairs of two images of one person: all, or some of each."""
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
