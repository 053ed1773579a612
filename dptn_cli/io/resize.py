"""Resizing and cropping between the sizes of images on disk and of the network."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.types import Crop, ImageU8, Size


def resize_to_network(image: Image.Image, network_size: Size) -> ImageU8:
    """Resize to the network's size with Pillow's antialiased bilinear filter, as published.

    Args:
        image: RGB.
        network_size: (height, width) in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = network_size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def crop_and_resize(image: Image.Image, crop: Crop | None, size: Size) -> ImageU8:
    """Crop an image and resize the crop.

    Only what lies inside the image is resized, so a crop far larger than the image costs nothing
    more. The rest is filled with the border's colour.

    Args:
        image: RGB.
        crop: the crop, which may reach beyond the image; None for the whole image.
        size: (height, width) in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if crop is None:
        return resize_to_network(image, size)
    rows = _overlap(crop.top, crop.height, image.height, size[0])
    columns = _overlap(crop.left, crop.width, image.width, size[1])
    part = np.asarray(
        image.resize(
            (columns.stop - columns.start, rows.stop - rows.start),
            Image.Resampling.BILINEAR,
            box=(columns.low, rows.low, columns.high, rows.high),
        )
    )
    if part.shape[:2] == size:
        return part
    canvas = np.empty((*size, 3), np.uint8)
    canvas[:] = _border_colour(image, crop)
    canvas[rows.start : rows.stop, columns.start : columns.stop] = part
    return canvas


class _Overlap(NamedTuple):
    """The part of a resized crop that the image covers, along one axis.

    Attributes:
        start: first pixel of the resized crop that the image covers.
        stop: end of these pixels, exclusive; at least `start + 1`.
        low: where they begin in the image, pixels.
        high: where they end in the image, pixels.
    """

    start: int
    stop: int
    low: float
    high: float


def _overlap(crop_start: float, crop_length: float, side: int, cells: int) -> _Overlap:
    """Find which pixels of a resized crop the image covers completely, along one axis.

    Args:
        crop_start: where the crop begins, pixels of the image; may be negative.
        crop_length: length of the crop, pixels of the image.
        side: length of the image, pixels.
        cells: length of the resized crop, pixels.
    """
    scale = crop_length / cells
    # Without the tolerance, rounding would lose the last pixel of a crop that ends at the edge.
    start = max(0, math.ceil(-crop_start / scale - 1e-9))
    stop = min(cells, math.floor((side - crop_start) / scale + 1e-9))
    if stop <= start:  # the image is smaller than a pixel: it gets the one at its centre
        start = min(cells - 1, max(0, math.floor((side / 2 - crop_start) / scale)))
        stop = start + 1
    # Pillow needs a box of some length inside the image.
    low = min(max(0.0, crop_start + start * scale), side - 1e-3)
    high = min(max(crop_start + stop * scale, low + 1e-3), float(side))
    return _Overlap(start, stop, low, high)


def _border_colour(image: Image.Image, crop: Crop) -> npt.NDArray[np.uint8]:
    """Return the median colour, (3,) uint8, of the edges that a crop reaches beyond."""
    left, right = _touched(crop.left, crop.width, image.width)
    top, bottom = _touched(crop.top, crop.height, image.height)
    strips = [
        (crop.top < 0, (left, 0, right, 1)),
        (crop.top + crop.height > image.height, (left, image.height - 1, right, image.height)),
        (crop.left < 0, (0, top, 1, bottom)),
        (crop.left + crop.width > image.width, (image.width - 1, top, image.width, bottom)),
    ]
    edges = [np.asarray(image.crop(box)).reshape(-1, 3) for is_crossed, box in strips if is_crossed]
    colour: npt.NDArray[np.uint8] = np.median(np.concatenate(edges), axis=0).astype(np.uint8)
    return colour


def _touched(crop_start: float, crop_length: float, side: int) -> tuple[int, int]:
    """Return first and end of the image's pixels that a crop touches; at least one pixel."""
    first = min(max(0, math.floor(crop_start)), side - 1)
    return first, max(first + 1, min(side, math.ceil(crop_start + crop_length)))


def resize_to_disk(image_u8: ImageU8, image_size: Size) -> ImageU8:
    """Resize a generated image to its size on disk, as OpenCV's INTER_LINEAR does.

    The axes are resized one after the other, with 11-bit weights: for output pixel i,
    x = (i + 0.5) * input / output - 0.5 and value = (p[x0] * w0 + p[x0 + 1] * w1 + 1024) >> 11.
    This is OpenCV's result to the bit if one axis changes, as for the published sizes.

    Args:
        image_u8: (H, W, 3) uint8.
        image_size: (height, width) of the result, pixels.
    """
    for axis, length in enumerate(image_size):
        if image_u8.shape[axis] != length:
            image_u8 = _resize_axis(image_u8, axis, length)
    return image_u8


def _resize_axis(image_u8: ImageU8, axis: int, length: int) -> ImageU8:
    first, second, weight = _taps(image_u8.shape[axis], length)
    weight = weight.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    low = image_u8.take(first, axis).astype(np.int32)
    high = image_u8.take(second, axis).astype(np.int32)
    return ((low * (2048 - weight) + high * weight + 1024) >> 11).astype(np.uint8)


@lru_cache(maxsize=8)
def _taps(
    old_length: int, new_length: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """Return for each output pixel its two input pixels, and the second one's weight of 2048."""
    position = (np.arange(new_length) + 0.5) * old_length / new_length - 0.5
    floor = np.floor(position)
    weight = np.rint((position - floor) * 2048).astype(np.int32)
    first = np.clip(floor, 0, old_length - 1).astype(np.intp)
    second = np.clip(floor + 1, 0, old_length - 1).astype(np.intp)
    return first, second, weight
