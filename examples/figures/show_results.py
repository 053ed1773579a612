"""Draw a few results as rows of source, target pose and result, beside the true picture.

python show_results.py RESULTS OUT.png [PAIR ...]
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dptn_cli.keypoints import Annotations
from dptn_cli.records import MISSING
from dptn_cli.records import Pose as PoseArray

HERE = Path(__file__).parent
ENLARGED = 2
GAP = 6
# OpenPose's limbs by joint number, neck outwards.
LIMBS = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
SHOWN = (
    "0000_0 0000_2", "0004_0 0004_3", "0002_3 0002_0",
    "0005_1 0005_0", "0003_0 0003_2", "0001_1 0001_2",
)  # fmt: skip
COLUMNS = 2


def limb_colour(index: int) -> tuple[int, int, int]:
    """A colour of the wheel for each limb."""
    wheel = Image.new("HSV", (1, 1), (index * 255 // len(LIMBS), 220, 225)).convert("RGB")
    pixel = wheel.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def skeleton(pose: PoseArray, size: tuple[int, int]) -> Image.Image:
    """The pose as limbs on black; `size` is (width, height)."""
    image = Image.new("RGB", size, (24, 24, 30))
    pen = ImageDraw.Draw(image)
    points = [None if y == MISSING else (x * ENLARGED, y * ENLARGED) for y, x in pose]
    for index, (a, b) in enumerate(LIMBS):
        start, end = points[a], points[b]
        if start and end:
            pen.line([start, end], fill=limb_colour(index), width=5)
    return image


def row(results: Path, source: str, target: str, pose: PoseArray) -> npt.NDArray[np.uint8]:
    """Source, pose, result, truth, beside each other."""
    paths = (
        HERE / "images" / f"{source}.png",
        results / f"{source}_2_{target}_vis.png",
        HERE / "images" / f"{target}.png",
    )
    pictures = [Image.open(path).convert("RGB") for path in paths]
    size = (pictures[0].width * ENLARGED, pictures[0].height * ENLARGED)
    large = [picture.resize(size, Image.Resampling.BICUBIC) for picture in pictures]
    large.insert(1, skeleton(pose, size))
    return side_by_side([np.asarray(picture) for picture in large], GAP)


def side_by_side(pictures: list[npt.NDArray[np.uint8]], width: int) -> npt.NDArray[np.uint8]:
    """Pictures of one height, with a white gap between."""
    gap = np.full((pictures[0].shape[0], width, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1)


def main() -> None:
    """Write the sheet: two results a line."""
    results, out, *wanted = sys.argv[1:]
    poses = Annotations(HERE / "keypoints.csv")
    rows = []
    for shown in wanted or SHOWN:
        source, target = (f"p{name}" for name in shown.split())
        rows.append(row(Path(results), source, target, poses[f"{target}.png"]))
    lines = [side_by_side(rows[i : i + COLUMNS], 3 * GAP) for i in range(0, len(rows), COLUMNS)]
    gap = np.full((GAP, lines[0].shape[1], 3), 255, np.uint8)
    stacked = np.concatenate([part for line in lines for part in (line, gap)][:-1], axis=0)
    Image.fromarray(stacked).save(out)


if __name__ == "__main__":
    main()
