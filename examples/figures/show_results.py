"""Draw a few results as rows of source, target pose and result, beside the true image.

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
ENLARGED = 2
GAP = 6
SHOWN = (
    "0000_0 0000_2", "0004_0 0004_3", "0002_3 0002_0",
    "0005_1 0005_0", "0003_0 0003_2", "0001_1 0001_2",
)  # fmt: skip
COLUMNS = 2


def row(results: Path, source: str, target: str, pose: PoseArray) -> npt.NDArray[np.uint8]:
    """Source, pose, result, truth, beside each other."""
    paths = (
        HERE / "images" / f"{source}.png",
        results / f"{source}_2_{target}_vis.png",
        HERE / "images" / f"{target}.png",
    )
    images = [Image.open(path).convert("RGB") for path in paths]
    size = (images[0].width * ENLARGED, images[0].height * ENLARGED)
    large = [image.resize(size, Image.Resampling.BICUBIC) for image in images]
    enlarged = np.where(pose == MISSING, MISSING, pose * ENLARGED)
    large.insert(1, Image.fromarray(draw_pose(enlarged, size[::-1])))
    return side_by_side([np.asarray(image) for image in large], GAP)


def side_by_side(images: list[npt.NDArray[np.uint8]], width: int) -> npt.NDArray[np.uint8]:
    """Images of one height, with a white gap between."""
    gap = np.full((images[0].shape[0], width, 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis=1)


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
