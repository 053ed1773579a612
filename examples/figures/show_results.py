"""Draw a sheet of results: source, target pose, result and true image side by side.

python show_results.py RESULTS OUT.png [PAIR ...]
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.keypoints import Annotations
from dptn_cli.types import MISSING
from dptn_cli.types import Pose as PoseArray
from dptn_cli.visualize.skeleton import draw_pose

HERE = Path(__file__).parent
SCALE = 2
GAP = 6
DEFAULT_PAIRS = (
    "0000_0 0000_2", "0004_0 0004_3", "0002_3 0002_0",
    "0005_1 0005_0", "0003_0 0003_2", "0001_1 0001_2",
)  # fmt: skip
COLUMNS = 2


def draw_pair(results: Path, source: str, target: str, pose: PoseArray) -> npt.NDArray[np.uint8]:
    """Return a pair's source, target pose, result and true image side by side."""
    paths = (
        HERE / "images" / f"{source}.png",
        results / f"{source}_2_{target}_vis.png",
        HERE / "images" / f"{target}.png",
    )
    images = [Image.open(path).convert("RGB") for path in paths]
    size = (images[0].width * SCALE, images[0].height * SCALE)
    large = [image.resize(size, Image.Resampling.BICUBIC) for image in images]
    scaled = np.where(pose == MISSING, MISSING, pose * SCALE)
    large.insert(1, Image.fromarray(draw_pose(scaled, size[::-1])))
    return side_by_side([np.asarray(image) for image in large], GAP)


def side_by_side(images: list[npt.NDArray[np.uint8]], width: int) -> npt.NDArray[np.uint8]:
    """Join images of the same height, with white gaps of `width` pixels between them."""
    gap = np.full((images[0].shape[0], width, 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis=1)


def main() -> None:
    """Write the sheet, with two results in each row."""
    results, out, *pairs = sys.argv[1:]
    poses = Annotations(HERE / "keypoints.csv")
    drawn = []
    for pair in pairs or DEFAULT_PAIRS:
        source, target = (f"p{name}" for name in pair.split())
        drawn.append(draw_pair(Path(results), source, target, poses[f"{target}.png"]))
    rows = [side_by_side(drawn[i : i + COLUMNS], 3 * GAP) for i in range(0, len(drawn), COLUMNS)]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.concatenate([part for row in rows for part in (row, gap)][:-1], axis=0)
    Image.fromarray(sheet).save(out)


if __name__ == "__main__":
    main()
