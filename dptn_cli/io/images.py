"""Decoding images from any source to upright 8-bit RGB, and encoding results."""

import io
import math
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.image_files import check_pixels, use_image
from dptn_cli.io.large_jpegs import is_large_jpeg, reduce
from dptn_cli.io.pixels import load_rgb
from dptn_cli.io.resize import crop_and_resize
from dptn_cli.io.storage import StoreError, storage_of
from dptn_cli.types import Crop, ImageU8, Size

PUBLISHED_JPEG_QUALITY = 75
PNG_LEVEL = 4  # takes half the time of zlib's default 6, for files 3 % larger
_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap height and width
_FROM_BELOW, _FROM_RIGHT = (3, 4, 7, 8), (2, 3, 6, 7)  # that begin with the last row or column
# Large JPEGs are decoded one at a time, whatever the number of threads: each takes much memory.
_ONE_LARGE_JPEG = threading.Lock()


def decode_image(data: bytes) -> Image.Image:
    """Decode an image of any mode to upright 8-bit RGB.

    EXIF rotation is applied. See `pixels.load_rgb` for colors, transparency and other samples.

    Args:
        data: content of an image file.

    Raises:
        InputError: the data is not an image, is truncated, or has more than 100,000,000 pixels.
    """
    return use_image(io.BytesIO(data), _load_whole)


def _load_whole(image: Image.Image) -> Image.Image:
    check_pixels(image)
    return _load_upright(image)


def decode_crop(data: bytes, crop: Crop | None, size: Size) -> ImageU8:
    """Decode an image, crop it and resize the crop.

    A JPEG of more than 100,000,000 pixels, which `decode_image` refuses, is decoded at a half to
    an eighth of its size, as its crop allows.

    Args:
        data: content of an image file.
        crop: the crop, pixels of the upright image at its full size, which may reach beyond the
            image; None for the whole image.
        size: (height, width) of the result, pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the data is not an image, is truncated, or has too many pixels.
    """

    def load(image: Image.Image) -> ImageU8:
        if not is_large_jpeg(image):
            return crop_and_resize(_load_whole(image), crop, size)
        full_size, orientation = _upright_size(image), _orientation(image)
        part = crop or Crop(0, 0, *full_size)
        scale = min(part.height / size[0], part.width / size[1])
        rgb, reduction = _load_reduced(image, data, scale)
        return crop_and_resize(rgb, _reduce_crop(part, full_size, reduction, orientation), size)

    return use_image(io.BytesIO(data), load)


def decode_reduced(data: bytes, long_edge: int) -> tuple[Image.Image, Size]:
    """Decode an image that is to be resized.

    Args:
        data: content of an image file.
        long_edge: length that the longer side will be resized to, pixels.

    Returns:
        The image, as `decode_image` returns it, and its (height, width) in pixels at its full
        size. Only a JPEG of more than 100,000,000 pixels is decoded at a part of it.

    Raises:
        InputError: the data is not an image, is truncated, or has too many pixels.
    """

    def load(image: Image.Image) -> tuple[Image.Image, Size]:
        if is_large_jpeg(image):
            size = _upright_size(image)
            return _load_reduced(image, data, max(size) / long_edge)[0], size
        rgb = _load_whole(image)
        return rgb, (rgb.height, rgb.width)

    return use_image(io.BytesIO(data), load)


def _load_reduced(image: Image.Image, data: bytes, scale: float) -> tuple[Image.Image, int]:
    """Return an upright large JPEG, and by how much its sides are divided."""
    reduction = reduce(image, data, scale)
    with _ONE_LARGE_JPEG:
        return _load_upright(image), reduction


def _reduce_crop(crop: Crop, size: Size, reduction: int, orientation: int) -> Crop:
    """Return a crop in the pixels of the reduced image.

    The last row and column of a reduced image may stand for less than a whole pixel. They come
    first if the image was turned.
    """
    missing_y, missing_x = (math.ceil(side / reduction) - side / reduction for side in size)
    return Crop(
        crop.top / reduction + (missing_y if orientation in _FROM_BELOW else 0),
        crop.left / reduction + (missing_x if orientation in _FROM_RIGHT else 0),
        crop.height / reduction,
        crop.width / reduction,
    )


def _load_upright(image: Image.Image) -> Image.Image:
    # Loading turns a TIFF, and reads what stands behind the pixels of a PNG.
    rgb = load_rgb(image)
    turn = _TURNS.get(_orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Return how an image is still to be turned, 1 to 8 as in EXIF; 1 is upright."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1  # broken EXIF data says nothing about the pixels
    return orientation if orientation in _TURNS else 1


def read_image(path: Path) -> ImageU8:
    """Read and decode an image file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be read or is not an image; the message names it.
    """
    return _read(path, lambda data: np.asarray(decode_image(data)))


def read_crop(path: Path, crop: Crop | None, size: Size) -> ImageU8:
    """Read an image file and decode a crop of it, as `decode_crop` does.

    Args:
        path: the image file.
        crop: the crop, pixels of the upright image; None for the whole image.
        size: (height, width) of the result, pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be read or is not an image; the message names it.
    """
    return _read(path, lambda data: decode_crop(data, crop, size))


def _read(path: Path, decode: Callable[[bytes], ImageU8]) -> ImageU8:
    with user_errors(path):
        data = storage_of(path).read_bytes(path)
    try:
        return decode(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_image_size(path: Path) -> Size:
    """Read the size of an upright image from its header.

    Returns:
        (height, width) in pixels, after EXIF rotation.

    Raises:
        InputError: the file is missing or is not an image.
        StoreError: a remote store refused or could not be reached.
    """
    try:
        return storage_of(path).parse_header(path, lambda file: use_image(file, _upright_size))
    except StoreError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def decode_size(data: bytes) -> Size:
    """Read the size of an upright image from a file's content, as `read_image_size` does.

    Raises:
        InputError: the data is not an image.
    """
    return use_image(io.BytesIO(data), _upright_size)


def _upright_size(image: Image.Image) -> Size:
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # By its tags: Pillow has swapped the sides of the image itself for some orientations.
        width = image.tag_v2[TiffImagePlugin.IMAGEWIDTH]
        height = image.tag_v2[TiffImagePlugin.IMAGELENGTH]
    return (width, height) if _orientation(image) in _SIDEWAYS else (height, width)


def encode_image(
    image_u8: ImageU8, image_format: ImageFormat, quality: int = PUBLISHED_JPEG_QUALITY
) -> bytes:
    """Encode an image.

    Args:
        image_u8: (H, W, 3) uint8 RGB.
        image_format: PNG, which is lossless, or JPEG.
        quality: JPEG quality, 1 to 100; the published code saves with 75.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(image_u8)
    if image_format is ImageFormat.JPG:
        image.save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()
