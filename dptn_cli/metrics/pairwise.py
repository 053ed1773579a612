"""The pixel metrics of one pair of images, by the rules of one or both protocols."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Dataset, Protocol
from dptn_cli.metrics.pixel import CANVAS_CONTENT, l1, mae, pad_white, psnr, to_unit
from dptn_cli.metrics.protocols import Undefined
from dptn_cli.metrics.ssim import ssim_published, ssim_standard, ssim_uniform
from dptn_cli.types import ImageU8


@dataclass(frozen=True)
class PairScores:
    """The pixel metrics of one pair.

    Attributes:
        values: scores by metric id; NaN if the metric is undefined for this pair, infinite if
            that is its value.
        undefined: reasons, by the id of each undefined metric.
    """

    values: Mapping[str, float]
    undefined: Mapping[str, str]


def score_pixels(
    generated_u8: ImageU8,
    truth_u8: ImageU8,
    protocols: Collection[Protocol],
    dataset: Dataset | None,
) -> PairScores:
    """Compute every pixel metric of one pair.

    Args:
        generated_u8: (H, W, 3) uint8.
        truth_u8: uint8 of the same shape.
        protocols: the protocols whose metrics are computed.
        dataset: selects the canvas of the paper's protocol; None means no canvas.
    """
    computations: dict[str, Callable[[], float]] = {}
    if Protocol.PAPER in protocols:
        x, y = _on_canvas(generated_u8, dataset), _on_canvas(truth_u8, dataset)
        computations |= {
            "paper.ssim": lambda: ssim_published(_defined(x), _defined(y)),
            "paper.ssim_win51": lambda: ssim_uniform(_defined(x), _defined(y)),
            "paper.psnr": lambda: psnr(_defined(x), _defined(y), 1.0),
            "paper.l1": lambda: l1(_defined(x), _defined(y)),
            "paper.mae": lambda: mae(_defined(x), _defined(y)),
        }
    if Protocol.STANDARD in protocols:
        computations |= {
            "standard.ssim": lambda: ssim_standard(generated_u8, truth_u8),
            "standard.psnr": lambda: psnr(generated_u8, truth_u8, 255.0),
        }
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for metric_id, compute in computations.items():
        try:
            values[metric_id] = compute()
        except Undefined as reason:
            values[metric_id] = math.nan
            undefined[metric_id] = str(reason)
    return PairScores(values, undefined)


def _on_canvas(image_u8: ImageU8, dataset: Dataset | None) -> npt.NDArray[np.float32] | None:
    """Return the image in [0, 1], fashion on its canvas; None if it does not fit the canvas."""
    if dataset != Dataset.FASHION:
        return to_unit(image_u8)
    return pad_white(to_unit(image_u8)) if image_u8.shape[:2] == CANVAS_CONTENT else None


def _defined(image: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32]:
    if image is None:
        raise Undefined("not 256x176, which the canvas of the paper's fashion protocol takes")
    return image
