"""SSIM in its three forms, all by scikit-image, which has each of them as an option.

The arithmetic is float64: in float32 a picture of little contrast loses the variance in the
rounding, and the scikit-image of the published code's time computed in float64 as well.
"""

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from dptn_cli.metrics.undefined import Undefined
from dptn_cli.records import PictureU8

GAUSSIAN_SIDE = 11
"""Window of a Gaussian of sigma 1.5 truncated at 3.5 sigma, pixels."""
UNIFORM_SIDE = 51


def ssim_published(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """The published SSIM_256: Gaussian window, data range taken from the generated picture.

    Args:
        generated: (H, W, 3) in [0, 1], on the canvas where the protocol has one.
        truth: likewise.

    Raises:
        Undefined: the generated picture is one single value: its data range is 0, and the
            formula has no value there.
    """
    generated_255, truth_255 = (x.astype(np.float64) * 255 for x in (generated, truth))
    data_range = float(generated_255.max() - generated_255.min())
    if not data_range:
        raise Undefined("the generated picture is one single value, its data range 0")
    return _gaussian(generated_255, truth_255, data_range)


def ssim_uniform(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """The published code's other SSIM: uniform window of 51, sample covariance, data range 1.

    Args:
        generated: (H, W, 3) in [0, 1].
        truth: likewise.

    Raises:
        Undefined: a side is shorter than the window.
    """
    _check_side(generated.shape, UNIFORM_SIDE)
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            truth.astype(np.float64),
            generated.astype(np.float64),
            win_size=UNIFORM_SIDE,
            data_range=1.0,
            channel_axis=-1,
        )
    )


def ssim_standard(generated_u8: PictureU8, truth_u8: PictureU8) -> float:
    """Wang's SSIM: Gaussian window of sigma 1.5, biased covariance, data range 255."""
    return _gaussian(generated_u8.astype(np.float64), truth_u8.astype(np.float64), 255.0)


def _gaussian(
    generated: npt.NDArray[np.float64], truth: npt.NDArray[np.float64], data_range: float
) -> float:
    _check_side(generated.shape, GAUSSIAN_SIDE)
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            truth,
            generated,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=data_range,
            channel_axis=-1,
        )
    )


def _check_side(shape: tuple[int, ...], window: int) -> None:
    if min(shape[:2]) < window:
        raise Undefined(f"a side is shorter than the window of {window} pixels")
