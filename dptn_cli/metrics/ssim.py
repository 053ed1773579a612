"""SSIM in its three forms, all by scikit-image, which has each of them as an option.

The arithmetic is float64: in float32 an image of little contrast loses the variance in the
rounding, and the scikit-image of the published code's time computed in float64 as well.
"""

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from dptn_cli.metrics.undefined import Undefined
from dptn_cli.types import ImageU8

GAUSSIAN_SIDE = 11
"""Window of a Gaussian of sigma 1.5 truncated at 3.5 sigma, pixels."""
UNIFORM_SIDE = 51


def ssim_published(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """The published SSIM_256: Gaussian window, data range taken from the generated image.

    Args:
        generated: (H, W, 3) in [0, 1], on the canvas where the protocol has one.
        truth: likewise.

    Raises:
        Undefined: the generated image is one single value: its data range is 0, and the
            formula has no value there.
    """
    generated_255, truth_255 = (x.astype(np.float64) * 255 for x in (generated, truth))
    data_range = float(generated_255.max() - generated_255.min())
    if not data_range:
        raise Undefined("the generated image is one single value, its data range 0")
    return _gaussian(generated_255, truth_255, data_range)


def ssim_uniform(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """The published code's other SSIM: uniform window of 51, sample covariance, data range 1.

    Args:
        generated: (H, W, 3) in [0, 1].
        truth: likewise.

    Raises:
        Undefined: a side is shorter than the window.
    """
    return _mean_ssim(
        generated.astype(np.float64),
        truth.astype(np.float64),
        UNIFORM_SIDE,
        win_size=UNIFORM_SIDE,
        data_range=1.0,
    )


def ssim_standard(generated_u8: ImageU8, truth_u8: ImageU8) -> float:
    """Wang's SSIM: Gaussian window of sigma 1.5, biased covariance, data range 255.

    Raises:
        Undefined: a side is shorter than the window.
    """
    return _gaussian(generated_u8.astype(np.float64), truth_u8.astype(np.float64), 255.0)


def _gaussian(
    generated: npt.NDArray[np.float64], truth: npt.NDArray[np.float64], data_range: float
) -> float:
    return _mean_ssim(
        generated,
        truth,
        GAUSSIAN_SIDE,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=data_range,
    )


def _mean_ssim(
    generated: npt.NDArray[np.float64],
    truth: npt.NDArray[np.float64],
    window: int,
    **options: object,
) -> float:
    """The mean over the channels and over the region where the window lies within the image.

    The channels are laid side by side and scikit-image called once, not once a channel: a window
    within a channel's valid region sees nothing of the next channel, so the values are the same,
    and small images take a third less time.
    """
    height, width, channels = generated.shape
    if min(height, width) < window:
        raise Undefined(f"a side is shorter than the window of {window} pixels")
    beside = [x.transpose(0, 2, 1).reshape(height, channels * width) for x in (truth, generated)]
    _, values = structural_similarity(  # type: ignore[no-untyped-call]
        *beside, full=True, **options
    )
    border = window // 2
    valid = values.reshape(height, channels, width)[
        border : height - border, :, border : width - border
    ]
    return float(valid.mean(dtype=np.float64))
