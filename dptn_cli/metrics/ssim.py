"""The three forms of SSIM, all computed by scikit-image.

The arithmetic is float64. In float32, the variance of a low-contrast image is lost in rounding;
the version of scikit-image that the published code used computed in float64 too.
"""

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from dptn_cli.metrics.protocols import Undefined
from dptn_cli.types import ImageU8

GAUSSIAN_SIDE = 11
"""Side in pixels of scikit-image's Gaussian window: sigma 1.5, truncated at 3.5 sigma."""
UNIFORM_SIDE = 51
"""Side in pixels of the published code's uniform window."""


def ssim_published(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """Return the published SSIM_256: Gaussian window, data range of the generated image.

    Args:
        generated: (H, W, 3) in [0, 1], fashion on its canvas.
        truth: the same shape and range as `generated`.

    Raises:
        Undefined: all values of the generated image are equal, so its data range is 0; or a side
            is shorter than the window.
    """
    generated_255, truth_255 = (x.astype(np.float64) * 255 for x in (generated, truth))
    data_range = float(generated_255.max() - generated_255.min())
    if not data_range:
        raise Undefined("the generated image is one single value, its data range 0")
    return _gaussian(generated_255, truth_255, data_range)


def ssim_uniform(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """Return the published code's other SSIM: uniform window, sample covariance, data range 1.

    Args:
        generated: (H, W, 3) in [0, 1], fashion on its canvas.
        truth: the same shape and range as `generated`.

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
    """Return SSIM by Wang et al. (2004): Gaussian window, biased covariance, data range 255.

    Args:
        generated_u8: (H, W, 3) uint8.
        truth_u8: uint8 of the same shape.

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
    """Average SSIM over the channels and all positions where the window lies inside the image.

    The channels are laid side by side, so that scikit-image is called once instead of once per
    channel. No window inside a channel's valid region reaches the next channel, so the values are
    the same, and small images take a third less time.
    """
    height, width, channels = generated.shape
    if min(height, width) < window:
        raise Undefined(f"a side is shorter than the window of {window} pixels")
    flat = [x.transpose(0, 2, 1).reshape(height, channels * width) for x in (truth, generated)]
    _, values = structural_similarity(  # type: ignore[no-untyped-call]
        *flat, full=True, **options
    )
    border = window // 2
    valid = values.reshape(height, channels, width)[
        border : height - border, :, border : width - border
    ]
    return float(valid.mean(dtype=np.float64))
