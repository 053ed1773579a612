"""Scores a detector on figures that it was not trained on, one condition after the other.

PYTHONPATH=examples/figures python examples/figure_detector/score_detector.py CHECKPOINT
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from make_figures import draw, sample_person, sample_stance

from dptn_cli.detect import Detection, Detector
from dptn_cli.types import Pose

SEED = 3  # the training has 1 and 2
USUAL = (256, 176)


@dataclass(frozen=True)
class Condition:
    """A kind of held-out image.

    Attributes:
        background: as `make_figures.py` knows it.
        view: front or back.
        spec: size of the image, the figure in it growing along, 1 is 256x176.
        figure: size of the figure in its frame; above 1 it is cut by the frame.
    """

    background: str
    view: str
    spec: float = 1.0
    figure: float = 1.0

    @property
    def name(self) -> str:
        """As a row is called."""
        return f"{self.background}, {self.view}, frame {self.spec:g}, figure {self.figure:g}"


def conditions() -> Iterator[Condition]:
    """Light and dark, front and back, in frames and figures of several sizes."""
    for background in ("light", "dark"):
        for view in ("front", "back"):
            for spec, figure in ((0.5, 1), (0.6, 1), (1, 1), (1.6, 1), (1, 0.6), (1, 1.6)):
                yield Condition(background, view, spec, figure)


@dataclass(frozen=True)
class Score:
    """What was found on the images of a condition.

    Attributes:
        images: how many.
        single: on how many exactly one person was found.
        labelled: joints that are there.
        distances_px: of the joints found that are there, from where they are, pixels on disk.
        extra: joints found that are not labelled: hidden ones, mostly.
    """

    images: int
    single: int
    labelled: int
    distances_px: tuple[float, ...]
    extra: int

    def row(self, name: str) -> str:
        """A line of a table in Markdown."""
        found = len(self.distances_px)
        return (
            f"| {name} | {self.images} | {self.single / self.images:.1%} | "
            f"{found / self.labelled:.1%} | {np.mean(self.distances_px or [np.nan]):.2f} | "
            f"{self.extra / self.images:.2f} |"
        )


def score(detector: Detector, condition: Condition, images: int) -> Score:
    """Draw the images of a condition and look for the figures on them."""
    poses: dict[str, Pose] = {}
    size = (round(USUAL[0] * condition.spec), round(USUAL[1] * condition.spec))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(images):
            rng = np.random.default_rng([SEED, number])
            person = sample_person(rng, condition.background)
            stance = sample_stance(rng, (condition.figure,) * 2, condition.view)
            image, pose = draw(person, stance, size)
            image.save(Path(folder) / f"{number}.png")
            poses[f"{number}.png"] = pose
        detections = list(detector.detect((name, Path(folder) / name) for name in poses))
    compared = [_compare(found, poses[found.name]) for found in detections]
    return Score(
        images=images,
        single=sum(found.people == 1 for found in detections),
        labelled=sum(int((pose != -1).all(axis=1).sum()) for pose in poses.values()),
        distances_px=tuple(distance for distances, _ in compared for distance in distances),
        extra=sum(extra for _, extra in compared),
    )


def _compare(detection: Detection, truth: Pose) -> tuple[list[float], int]:
    """Distances of the joints that are on both, and how many were found that are not there."""
    if detection.found_pose is None:
        return [], 0
    there = (truth != -1).all(axis=1)
    seen = (detection.found_pose.pose != -1).all(axis=1)
    down, across = (detection.found_pose.pose - truth)[there & seen].T
    return np.hypot(down, across).tolist(), int((seen & ~there).sum())


def total(scores: list[Score]) -> Score:
    """All conditions together."""
    return Score(
        images=sum(one.images for one in scores),
        single=sum(one.single for one in scores),
        labelled=sum(one.labelled for one in scores),
        distances_px=tuple(distance for one in scores for distance in one.distances_px),
        extra=sum(one.extra for one in scores),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=50, help="of each condition")
    options = parser.parse_args()
    detector = Detector(options.checkpoint)
    print("| images of | | one person | joints found | mean error, px | joints not there |")
    print("|---|---|---|---|---|---|")
    scores = []
    for condition in conditions():
        scores.append(score(detector, condition, options.images))
        print(scores[-1].row(condition.name), flush=True)
    print(total(scores).row("all"))


if __name__ == "__main__":
    main()
