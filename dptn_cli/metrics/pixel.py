"""PSNR, L1 and MAE, and the published canvas.

Images are (H, W, 3): uint8, or float32 in [0, 1] as in the published code.
"""

import numpy as np
import numpy.typing as npt

from dptn_cli.types import ImageU8

CANVAS = (256, 256)
"""(height, width) of the white canvas that fashion images are pasted onto."""
CANVAS_COLUMNS = slice(40, 216)
"""Columns of the canvas that the image covers."""
CANVAS_CONTENT = (256, 176)
"""(height, width) of an image that fits these columns."""


def to_unit(image_u8: ImageU8) -> npt.NDArray[np.float32]:
    """Return the image as float32 in [0, 1]."""
    return image_u8.astype(np.float32) / np.float32(255)


def pad_white(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Paste a (256, 176, 3) image at columns 40 to 215 of a white (256, 256, 3) canvas."""
    canvas = np.ones((*CANVAS, 3), np.float32)
    canvas[:, CANVAS_COLUMNS] = image
    return canvas


def psnr(
    generated: npt.NDArray[np.generic], truth: npt.NDArray[np.generic], data_range: float
) -> float:
    """Return 10 log10(data_range^2 / mean squared error), in dB; infinite for equal images."""
    difference = generated.astype(np.float64) - truth.astype(np.float64)
    error = float(np.mean(difference**2))
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def l1(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """Return the mean of |generated - truth|."""
    return float(np.mean(np.abs(generated - truth), dtype=np.float64))


def mae(generated: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """Return sum |generated - truth| / sum (generated + truth), the MAE of the published code.

    The MAE of two black images is 0.
    """
    total = float(np.sum(generated + truth, dtype=np.float64))
    difference = float(np.sum(np.abs(generated - truth), dtype=np.float64))
    return difference / total if total else 0.0
