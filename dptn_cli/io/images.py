"""Decoding images from any source to upright 8-bit RGB, and encoding results."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import write_file
from dptn_cli.io.image_files import check_pixels, use_image
from dptn_cli.io.pixels import load_rgb
from dptn_cli.io.storage import StoreError, storage_of
from dptn_cli.types import ImageU8, Size

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
    with user_errors(path):
        data = storage_of(path).read_bytes(path)
    try:
        return np.asarray(decode_image(data))
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


def write_image(path: Path, image_u8: ImageU8) -> None:
    """Write an image as PNG, whole or not at all.

    Args:
        path: the file; its folder is created.
        image_u8: (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be written.
    """
    content = encode_image(image_u8, ImageFormat.PNG)
    write_file(path, lambda file: file.write(content))
