"""Draw a data set of figures for pose transfer: people, each in several poses.

Writes the published layout (train and test images, keypoints and pairs) or, with `--flat`, a
small demonstration set. The same seed gives the same scenes at every size.

Example:
    python make_figures.py figures --train-people 200 --test-people 20 --size 128x88
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# isort: split
from figures_drawing import draw
from figures_people import Person, Stance, sample_person, sample_stance

__all__ = ["Person", "Scene", "Stance", "draw", "make_scene", "sample_person", "sample_stance"]

_PERSON, _IMAGE = 0, 1  # keep the random numbers of looks and of stances apart
BACKGROUNDS = ("light", "dark", "mixed", "studio")
_BACK_SHARE = 0.45  # of all but each person's first image; about 35 % of a set


@dataclass(frozen=True)
class Settings:
    """How figures are drawn.

    Attributes:
        seed: the set's seed.
        size: (height, width) of the images, pixels.
        background: `light`, `dark`, `mixed` or `studio`.
        scale: range of the figures' size; 1 fills the image's height.
        format: `png` or `jpg`.
    """

    seed: int
    size: tuple[int, int]
    background: str
    scale: tuple[float, float]
    format: str


@dataclass(frozen=True)
class Scene:
    """The content of one image: a person in a stance."""

    person: Person
    stance: Stance


@dataclass(frozen=True)
class Task:
    """The images of one person.

    Attributes:
        number: the person's number.
        images: number of images.
        folder: where to save them.
        settings: how they are drawn.
    """

    number: int
    images: int
    folder: Path
    settings: Settings


Row = tuple[str, list[float], list[float]]
"""Name of an image, and the y and x coordinates of its joints."""


def make_scene(
    seed: int,
    person: int,
    number: int,
    background: str = "light",
    scale: tuple[float, float] = (1.0, 1.0),
) -> Scene:
    """Sample a scene that depends on the arguments alone.

    Args:
        seed: the set's seed.
        person: the person's number.
        number: number of the person's image; 0 is always a front view.
        background: `light`, `dark`, `mixed` or `studio`.
        scale: range of the figure's size; 1 fills the image's height.
    """
    person_rng = np.random.default_rng([seed, person, _PERSON])
    stance_rng = np.random.default_rng([seed, person, _IMAGE, number])
    view = "back" if number > 0 and stance_rng.random() < _BACK_SHARE else "front"
    return Scene(sample_person(person_rng, background), sample_stance(stance_rng, scale, view))


def image_name(person: int, number: int, extension: str) -> str:
    """Return the file name of an image."""
    return f"p{person:04d}_{number}.{extension}"


def draw_person(task: Task) -> list[Row]:
    """Draw and save all images of one person; return their keypoint rows."""
    rows: list[Row] = []
    settings = task.settings
    for number in range(task.images):
        scene = make_scene(settings.seed, task.number, number, settings.background, settings.scale)
        image, keypoints = draw(scene.person, scene.stance, settings.size)
        name = image_name(task.number, number, settings.format)
        if settings.format == "jpg":
            image.save(task.folder / name, quality=95, subsampling=0)
        else:
            image.save(task.folder / name)
        rows.append((name, keypoints[:, 0].tolist(), keypoints[:, 1].tolist()))
    return rows


def draw_people(tasks: Sequence[Task], workers: int) -> list[list[Row]]:
    """Draw the images of several people, in parallel if there are enough."""
    for folder in {task.folder for task in tasks}:
        folder.mkdir(parents=True, exist_ok=True)
    if workers <= 1 or len(tasks) < 8:
        return [draw_person(task) for task in tasks]
    chunk = max(1, min(32, len(tasks) // (4 * workers)))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(draw_person, tasks, chunksize=chunk))


def write_keypoints(path: Path, people: Sequence[Sequence[Row]]) -> None:
    """Write the keypoint file: for each image its name, the y and the x coordinates."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(
            file, delimiter=":", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\"
        )
        writer.writerow(("name", "keypoints_y", "keypoints_x"))
        for name, ys, xs in itertools.chain.from_iterable(people):
            writer.writerow((name, " " + json.dumps(ys), " " + json.dumps(xs)))


def write_pairs(path: Path, people: Sequence[Sequence[Row]]) -> None:
    """Write all ordered pairs of two images of one person."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("from", "to"))
        for rows in people:
            writer.writerows(itertools.permutations([row[0] for row in rows], 2))


def make_published(
    out: Path, people: tuple[int, int], images: int, settings: Settings, workers: int
) -> None:
    """Write a set in the published layout.

    Args:
        out: folder to write into.
        people: number of people for training and for testing; nobody is in both.
        images: number of images of each person.
        settings: how they are drawn.
        workers: number of processes that draw.
    """
    first = 0
    for part, count in zip(("train", "test"), people, strict=True):
        numbers = range(first, first + count)
        tasks = [Task(number, images, out / part, settings) for number in numbers]
        out.mkdir(parents=True, exist_ok=True)
        rows = draw_people(tasks, workers)
        write_keypoints(out / f"fasion-resize-annotation-{part}.csv", rows)
        write_pairs(out / f"fasion-resize-pairs-{part}.csv", rows)
        first += count


def make_flat(out: Path, people: int, images: int, settings: Settings, workers: int) -> None:
    """Write a demonstration set: a folder of images, keypoints.csv and pairs.csv."""
    tasks = [Task(number, images, out / "images", settings) for number in range(people)]
    (out / "images").mkdir(parents=True, exist_ok=True)
    rows = draw_people(tasks, workers)
    write_keypoints(out / "keypoints.csv", rows)
    write_pairs(out / "pairs.csv", rows)


def parse_size(text: str) -> tuple[int, int]:
    """Parse `HEIGHTxWIDTH`."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not HEIGHTxWIDTH: {text!r}") from None
    if min(height, width) < 16:
        raise argparse.ArgumentTypeError(f"too small to draw a figure: {text!r}")
    return height, width


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Draw a data set of figures for pose transfer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("out", type=Path, help="folder to write into")
    add("--train-people", type=int, default=8, help="people for training")
    add("--test-people", type=int, default=4, help="other people for testing")
    add("--images", type=int, default=4, help="images of each person")
    add("--size", type=parse_size, default=(256, 176), help="height x width, as in 256x176")
    add("--seed", type=int, default=0, help="the same seed gives the same scenes")
    add("--background", choices=BACKGROUNDS, default="light", help="what is behind the figures")
    add("--scale", type=float, nargs=2, default=(1.0, 1.0), metavar=("LOW", "HIGH"),
        help="range of the figures' size; 1 fills the image's height")  # fmt: skip
    add("--format", choices=("png", "jpg"), default="png", help="format of the images")
    add("--flat", type=int, metavar="N", default=None,
        help="write the demonstration layout with N people instead")  # fmt: skip
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = build_parser().parse_args(arguments)
    low, high = options.scale
    settings = Settings(options.seed, options.size, options.background, (low, high), options.format)
    if options.flat is not None:
        make_flat(options.out, options.flat, options.images, settings, options.workers)
        return
    people = (options.train_people, options.test_people)
    make_published(options.out, people, options.images, settings, options.workers)


if __name__ == "__main__":
    main()
