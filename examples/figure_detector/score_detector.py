"""Score a detector on figures that it was not trained on, under several conditions.

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

from dptn_cli.detect import Detection, OpenpifpafDetector
from dptn_cli.types import Pose

SEED = 3  # the training uses 1 and 2
USUAL_SIZE = (256, 176)  # (height, width)


@dataclass(frozen=True)
class Condition:
    """A kind of held-out image.

    Attributes:
        background: a background of `make_figures.py`.
        view: `front` or `back`.
        image_scale: factor of the image's size and of the figure in it; 1 is 256x176.
        figure_scale: factor of the figure's size within the image; above 1 the image's edges cut
            it off.
    """

    background: str
    view: str
    image_scale: float = 1.0
    figure_scale: float = 1.0

    @property
    def name(self) -> str:
        """Title of the condition's row in the table."""
        scales = f"frame {self.image_scale:g}, figure {self.figure_scale:g}"
        return f"{self.background}, {self.view}, {scales}"


def conditions() -> Iterator[Condition]:
    """Yield light and dark, front and back, with images and figures of several sizes."""
    for background in ("light", "dark"):
        for view in ("front", "back"):
            for scales in ((0.5, 1), (0.6, 1), (1, 1), (1.6, 1), (1, 0.6), (1, 1.6)):
                yield Condition(background, view, *scales)


@dataclass(frozen=True)
class Score:
    """The detections in the images of a condition, compared with the truth.

    Attributes:
        images: number of images.
        single: number of images in which exactly one person was found.
        labelled: number of joints that are labelled.
        distances_px: error of each labelled joint that was found, pixels on disk.
        extra: number of joints that were found but are not labelled, mostly hidden ones.
    """

    images: int
    single: int
    labelled: int
    distances_px: tuple[float, ...]
    extra: int

    def row(self, name: str) -> str:
        """Format a row of a Markdown table."""
        recall = len(self.distances_px) / self.labelled
        return (
            f"| {name} | {self.images} | {self.single / self.images:.1%} | "
            f"{recall:.1%} | {np.mean(self.distances_px or [np.nan]):.2f} | "
            f"{self.extra / self.images:.2f} |"
        )


def score(detector: OpenpifpafDetector, condition: Condition, images: int) -> Score:
    """Draw the images of a condition and run the detector on them."""
    poses: dict[str, Pose] = {}
    scale = condition.image_scale
    size = (round(USUAL_SIZE[0] * scale), round(USUAL_SIZE[1] * scale))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(images):
            rng = np.random.default_rng([SEED, number])
            person = sample_person(rng, condition.background)
            stance = sample_stance(rng, (condition.figure_scale,) * 2, condition.view)
            image, pose = draw(person, stance, size)
            image.save(Path(folder) / f"{number}.png")
            poses[f"{number}.png"] = pose
        detections = list(detector.detect((name, Path(folder) / name) for name in poses))
    compared = [_compare(detection, poses[detection.name]) for detection in detections]
    return Score(
        images=images,
        single=sum(detection.people == 1 for detection in detections),
        labelled=sum(int((pose != -1).all(axis=1).sum()) for pose in poses.values()),
        distances_px=tuple(distance for distances, _ in compared for distance in distances),
        extra=sum(extra for _, extra in compared),
    )


def _compare(detection: Detection, truth: Pose) -> tuple[list[float], int]:
    """Return the errors in pixels of labelled joints, and the number of unlabelled ones found."""
    if detection.found_pose is None:
        return [], 0
    labelled = (truth != -1).all(axis=1)
    detected = (detection.found_pose.pose != -1).all(axis=1)
    dy, dx = (detection.found_pose.pose - truth)[labelled & detected].T
    return np.hypot(dy, dx).tolist(), int((detected & ~labelled).sum())


def total(scores: list[Score]) -> Score:
    """Add up the scores of all conditions."""
    return Score(
        images=sum(score.images for score in scores),
        single=sum(score.single for score in scores),
        labelled=sum(score.labelled for score in scores),
        distances_px=tuple(distance for score in scores for distance in score.distances_px),
        extra=sum(score.extra for score in scores),
    )


def main() -> None:
    """Score all conditions and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=50, help="images per condition")
    options = parser.parse_args()
    detector = OpenpifpafDetector(options.checkpoint)
    print("| images of | | one person | joints found | mean error, px | unlabelled joints |")
    print("|---|---|---|---|---|---|")
    scores = []
    for condition in conditions():
        scores.append(score(detector, condition, options.images))
        print(scores[-1].row(condition.name), flush=True)
    print(total(scores).row("all"))


if __name__ == "__main__":
    main()
