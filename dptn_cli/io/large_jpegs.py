"""JPEGs that are too large to decode whole: decoded at a half to an eighth of it."""

import struct

from PIL import Image, JpegImagePlugin

from dptn_cli.errors import InputError
from dptn_cli.io.image_files import MAX_PIXELS

MAX_JPEG_PIXELS = 500_000_000
# For these JPEGs, the decoder holds all coefficients in memory, up to 6 bytes a pixel.
MAX_MULTISCAN_PIXELS = 250_000_000
_REDUCTIONS = (2, 4, 8)
_MARKERS_WITHOUT_LENGTH = (0x00, 0x01, *range(0xD0, 0xD9))
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_SCAN = 0xDA


def is_large_jpeg(image: Image.Image) -> bool:
    """Return whether an opened image is a JPEG that is too large to be decoded whole."""
    is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
    return is_jpeg and image.width * image.height > MAX_PIXELS


def reduce(image: Image.Image, data: bytes, pixels_per_pixel: float) -> int:
    """Make an opened large JPEG decode at a reduced size.

    Args:
        image: the JPEG, not loaded yet.
        data: content of its file.
        pixels_per_pixel: how many of its pixels, along one axis, become one pixel of the result.

    Returns:
        The factor by which its sides are divided: 2, 4 or 8. If the image is large enough, this
        leaves twice the pixels that the result needs along each axis.

    Raises:
        InputError: it is too large even for that.
    """
    pixels = image.width * image.height
    limit = MAX_MULTISCAN_PIXELS if _has_several_scans(data) else MAX_JPEG_PIXELS
    if pixels > limit:
        kind = "JPEG" if limit == MAX_JPEG_PIXELS else "progressive JPEG"
        size = f"{image.width:,}x{image.height:,}"
        raise InputError(f"more than {limit:,} pixels, the limit for a {kind}: it has {size}")
    fine = [by for by in _REDUCTIONS if 2 * by <= pixels_per_pixel]
    small = [by for by in _REDUCTIONS if pixels <= MAX_PIXELS * by * by]
    reduction = max(fine[-1] if fine else _REDUCTIONS[0], small[0])
    image.draft(None, (image.width // reduction, image.height // reduction))
    return reduction


def _has_several_scans(data: bytes) -> bool:
    """Return whether a JPEG's pixels are complete only after several scans."""
    position, channels = 2, 0
    # Decoders skip what stands between segments.
    while 0 <= (position := data.find(b"\xff", position)) <= len(data) - 10:
        marker = data[position + 1]
        if marker in _PROGRESSIVE:
            return True
        if marker in _FRAMES:
            channels = data[position + 9]
        elif marker == _SCAN:
            return data[position + 4] < channels
        if marker == 0xFF:
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return True  # broken, so that the smaller limit holds
