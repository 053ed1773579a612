"""Images: decoding what strangers send, fitting to the network's size, encoding results."""

import errno
import io
import math
import warnings
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import InputError
from dptn_cli.io.files import write_file
from dptn_cli.io.paths import is_remote
from dptn_cli.io.storage import read_bytes
from dptn_cli.types import Crop, ImageU8, Size

PUBLISHED_JPEG_QUALITY = 75
HEADER_BYTES = 128 << 10  # of a remote image, in which its size is told nearly always
PNG_LEVEL = 4  # half the time of the usual 6, for files 3 % larger
MAX_PIXELS = 100_000_000
# No decoder that runs another program (EPS) or that few images need.
DECODERS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Odd EXIF data, for instance: the image is read or refused. Once for the whole process, as
# what changes the filters for a while changes them for every thread.
warnings.filterwarnings("ignore", module=r"PIL\.")
Image.init()  # Registers the decoders now, not in the first thread that meets a WebP.


def decode_image(data: bytes) -> Image.Image:
    """Decode an image of any mode to upright 8-bit RGB.

    EXIF rotation is applied, transparency laid over white, 16 bits a channel reduced to 8.

    Raises:
        InputError: not an image, truncated, or more than `MAX_PIXELS` pixels.
    """
    if not data:
        raise InputError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=DECODERS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError  # as Pillow does from twice as many on
            return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise InputError("not an image, or of an unknown format") from error
    except MemoryError as error:
        raise InputError("too large for this machine's memory") from error
    except Exception as error:  # Decoders raise nearly anything at broken files.
        raise InputError(f"cannot be decoded: {error or type(error).__name__}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint16) >> 8
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.mode == "I":  # 16 bits in 32
        levels = np.clip(np.asarray(image), 0, 65535) >> 8
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def read_image(path: Path) -> ImageU8:
    """Decode a file to (H, W, 3) uint8 RGB.

    Raises:
        InputError: it cannot be read or is not an image; the message names the file.
    """
    try:
        return np.asarray(decode_image(read_bytes(path)))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_image_size(path: Path) -> Size:
    """(height, width) of an image as it stands upright, from its header alone.

    Raises:
        InputError: not an image, or not there.
        OSError: a store does not give it.
    """
    try:
        return _remote_size(path) if is_remote(path) else _upright_size(path)
    except Exception as error:
        if is_remote(path) and isinstance(error, OSError) and error.errno != errno.ENOENT:
            raise
        raise InputError(f"{path}: not an image that can be read") from error


def _remote_size(path: Path) -> Size:
    start = read_bytes(path, HEADER_BYTES)
    try:
        return size_of(start)
    except InputError:  # The header may be longer, if there is more of it.
        if len(start) < HEADER_BYTES:
            raise
        return size_of(read_bytes(path))


def size_of(data: bytes) -> Size:
    """Like `image_size`, of a file's content.

    Raises:
        InputError: not an image.
    """
    try:
        return _upright_size(io.BytesIO(data))
    except Exception as error:
        raise InputError("not an image that can be read") from error


def _upright_size(file: Path | BinaryIO) -> Size:
    with Image.open(file, formats=DECODERS) as image:
        sideways = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if sideways else (image.height, image.width)


def fit_to_network(image: Image.Image, network_size: Size) -> ImageU8:
    """Resize to the network's size with Pillow's antialiased bilinear filter, as published.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = network_size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def crop_to_network(image: Image.Image, crop: Crop | None, network_size: Size) -> ImageU8:
    """Resize a part of an image to the network's size.

    Only what is inside the image is resized, so that a crop far larger than the image costs
    nothing; the rest gets the border's colour.

    Args:
        image: RGB.
        crop: may reach beyond the image; None: all of it, as `fit_to_network`.
        network_size: (height, width).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if crop is None:
        return fit_to_network(image, network_size)
    top, bottom, above, below = _covered(crop.top, crop.height, image.height, network_size[0])
    left, right, before, after = _covered(crop.left, crop.width, image.width, network_size[1])
    part = np.asarray(
        image.resize(
            (right - left, bottom - top),
            Image.Resampling.BILINEAR,
            box=(before, above, after, below),
        )
    )
    if part.shape[:2] == network_size:
        return part
    canvas = np.empty((*network_size, 3), np.uint8)
    canvas[:] = _border_colour(image, crop)
    canvas[top:bottom, left:right] = part
    return canvas


def _covered(start: float, length: float, side: int, cells: int) -> tuple[int, int, float, float]:
    """Which of the `cells` pixels of a resized crop the image covers, along one axis.

    Args:
        start: of the crop, pixels of the image.
        length: of the crop.
        side: of the image.
        cells: the crop's length after resizing.

    Returns:
        First and end of the pixels that the image covers whole, at least one; and where they
        begin and end in the image.
    """
    scale = length / cells
    first = max(0, math.ceil(-start / scale - 1e-9))
    end = min(cells, math.floor((side - start) / scale + 1e-9))
    if end <= first:
        first = min(cells - 1, max(0, math.floor((side / 2 - start) / scale)))
        end = first + 1
    low = min(max(0.0, start + first * scale), side - 1e-3)
    return first, end, low, min(max(start + end * scale, low + 1e-3), float(side))


def _border_colour(image: Image.Image, crop: Crop) -> npt.NDArray[np.uint8]:
    """The median colour of the image's edges beyond which a crop reaches."""
    left, right = _whole(crop.left, crop.width, image.width)
    top, bottom = _whole(crop.top, crop.height, image.height)
    strips = [
        (crop.top < 0, (left, 0, right, 1)),
        (crop.top + crop.height > image.height, (left, image.height - 1, right, image.height)),
        (crop.left < 0, (0, top, 1, bottom)),
        (crop.left + crop.width > image.width, (image.width - 1, top, image.width, bottom)),
    ]
    edges = [np.asarray(image.crop(box)).reshape(-1, 3) for beyond, box in strips if beyond]
    colour: npt.NDArray[np.uint8] = np.median(np.concatenate(edges), axis=0).astype(np.uint8)
    return colour


def _whole(start: float, length: float, side: int) -> tuple[int, int]:
    """The image's pixels that a crop touches along one axis, at least one."""
    first = min(max(0, math.floor(start)), side - 1)
    return first, max(first + 1, min(side, math.ceil(start + length)))


def fit_to_disk(image_u8: ImageU8, image_size: Size) -> ImageU8:
    """Resize a generated image to its size on disk, as OpenCV's INTER_LINEAR does.

    For each axis in turn, with 11-bit weights: position x = (i + 0.5) * from / to - 0.5,
    value = (p[x0] * w0 + p[x0 + 1] * w1 + 1024) >> 11. Exact for the published frames, where
    one axis changes.

    Args:
        image_u8: (H, W, 3) uint8.
        image_size: (height, width) wanted.
    """
    for axis, wanted in enumerate(image_size):
        have = image_u8.shape[axis]
        if have != wanted:
            image_u8 = _resample(image_u8, axis, wanted)
    return image_u8


def _resample(image_u8: ImageU8, axis: int, wanted: int) -> ImageU8:
    first, second, weight = _taps(image_u8.shape[axis], wanted)
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    weight = weight.reshape(shape)
    low = image_u8.take(first, axis).astype(np.int32)
    high = image_u8.take(second, axis).astype(np.int32)
    return ((low * (2048 - weight) + high * weight + 1024) >> 11).astype(np.uint8)


@lru_cache(maxsize=8)
def _taps(
    have: int, wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    position = (np.arange(wanted) + 0.5) * have / wanted - 0.5
    floor = np.floor(position)
    weight = np.rint((position - floor) * 2048).astype(np.int32)
    first = np.clip(floor, 0, have - 1).astype(np.intp)
    second = np.clip(floor + 1, 0, have - 1).astype(np.intp)
    return first, second, weight


def encode_image(
    image_u8: ImageU8, fmt: ImageFormat, quality: int = PUBLISHED_JPEG_QUALITY
) -> bytes:
    """Encode (H, W, 3) uint8 RGB.

    Args:
        image_u8: the image.
        fmt: `png`, without loss, or `jpg`.
        quality: of the JPEG, 1 to 100; 75 is what the published code saves.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(image_u8)
    if fmt is ImageFormat.JPG:
        image.save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def write_image(path: Path, image_u8: ImageU8) -> None:
    """Write (H, W, 3) uint8 RGB as a PNG that is never seen half written.

    Raises:
        InputError: a full disk, for instance.
    """
    content = encode_image(image_u8, ImageFormat.PNG)
    write_file(path, lambda file: file.write(content))
