"""From the samples of an opened image, whatever they mean, to 8-bit RGB.

Pillow decodes the samples. Here they get their meaning: what is black and what is white, what an
ICC profile says of the colors, and what is transparent.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin

from dptn_cli.errors import InputError
from dptn_cli.io.color_profiles import conversion_to_srgb, lab_to_srgb

Levels: TypeAlias = npt.NDArray[np.uint16]
"""(H, W) uint16, from black (0) to white (65535)."""

# Floats below this are from 0 to 1, where resizing may have gone a little beyond 1. Others are
# from 0 to 255: an image of 255 levels of which the largest is 2 would be black.
UNIT_FLOATS_END = 2
# How far floats may be out of range, as a share of the range. Beyond it, they mean something else.
FLOAT_TOLERANCE = 0.25
WHITE_IS_ZERO, SIGNED, SEPARATE_PLANES = 0, 2, 2  # values of TIFF tags
# The mode of the pixels that an image's ICC profile is about.
_PROFILED_MODES = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}
_PROFILED_MODES |= {"PA": "RGB", "YCbCr": "RGB", "CMYK": "CMYK"}
_SWAPPED = ("I;16BS", "I;32BS", "F;32BF")


def load_rgb(image: Image.Image) -> Image.Image:
    """Load the pixels of an opened image and convert them to 8-bit RGB.

    Colors are converted to sRGB by the image's ICC profile, and left as they are if there is
    none that can be used. Transparency is blended with white. Deeper samples are reduced to 8
    bits: 16-bit integers from 0 to 65535 (signed ones to 32767), and floats from 0 to 1 or from 0
    to 255, whichever they fit.

    Args:
        image: an image of any mode, as `Image.open` returns it; it is not turned upright.

    Raises:
        InputError: the samples cannot be shown right; the message names them.
    """
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    raw_mode = _raw_mode(image)
    _check_layout(image, tags)
    image.load()
    if image.format == "PNG":
        _correct_transparency(image, raw_mode)
    if raw_mode == "LA;16B":  # a PNG's gray with alpha, for which Pillow has no mode
        image = image.convert("LA")
    if _is_signed(tags, 8):
        image = Image.fromarray(_from_signed(np.asarray(image).view(np.int8), 8, image.mode))
    if image.mode == "F":
        floats = _in_native_order(image, tags, raw_mode)
        return _deep_to_rgb(_whiten(_from_floats(floats), tags), image)
    if image.mode.startswith("I"):
        levels = _from_integers(_in_native_order(image, tags, raw_mode), image.mode, tags)
        return _deep_to_rgb(_whiten(levels, tags), image)
    return _shallow_to_rgb(image)


def _raw_mode(image: Image.Image) -> str:
    """Return Pillow's name of the samples' layout in the file; empty if it does not say."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    arguments = tiles[0].args if tiles else ""
    name = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return name if isinstance(name, str) else ""


def _check_layout(image: Image.Image, tags: Mapping[int, Any]) -> None:
    """Refuse layouts of uncompressed TIFFs that Pillow reads as noise."""
    if not tags or image.info.get("compression") != "raw":
        return
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    planes = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1)
    if planes == SEPARATE_PLANES and bits > 8 and len(image.getbands()) > 1:
        raise InputError(f"a TIFF of mode {image.mode} with separate planes of {bits} bits")
    sizes = tags.get(TiffImagePlugin.STRIPBYTECOUNTS, ())
    if image.mode == "YCbCr" and sizes and sum(sizes) < image.width * image.height * 3:
        raise InputError("a TIFF of mode YCbCr with uncompressed, subsampled colors")


def _correct_transparency(image: Image.Image, raw_mode: str) -> None:
    """Bring a PNG's transparent color, which has the depth of the file, to that of the samples."""
    color = image.info.get("transparency")
    if raw_mode in ("L;2", "L;4") and isinstance(color, int):
        image.info["transparency"] = color * 255 // (2 ** int(raw_mode[2]) - 1)
    elif raw_mode == "RGB;16B" and isinstance(color, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in color)


def _is_signed(tags: Mapping[int, Any], bits: int) -> bool:
    return tuple(tags.get(TiffImagePlugin.SAMPLEFORMAT, ())) == (SIGNED,) and (
        tuple(tags.get(TiffImagePlugin.BITSPERSAMPLE, ())) == (bits,)
    )


def _in_native_order(
    image: Image.Image, tags: Mapping[int, Any], raw_mode: str
) -> npt.NDArray[Any]:
    """Return gray samples, (H, W) of any type, in native byte order.

    Pillow takes what libtiff has put in order for big-endian.
    """
    samples = np.asarray(image)
    if not tags or image.info.get("compression") == "raw" or raw_mode not in _SWAPPED:
        return samples
    return samples.astype(np.int16).byteswap() if raw_mode == "I;16BS" else samples.byteswap()


def _from_integers(samples: npt.NDArray[Any], mode: str, tags: Mapping[int, Any]) -> Levels:
    """Convert 16-bit integers, which may be stored in 32 bits, to levels."""
    if _is_signed(tags, 16):
        return _from_signed(samples, 16, mode)
    if samples.min() < 0 or samples.max() > 65535:  # 32 bits without a sign may look negative
        raise InputError(
            f"an image of mode {mode} with integers of more than 16 bits or below 0; "
            "only 0 to 65535 can be read: save it with 8 or 16 bits a sample"
        )
    levels = samples.astype(np.uint16)
    # Scientific cameras write 12 bits. Pillow unpacks them, but does not scale them to 16.
    if tags.get(TiffImagePlugin.BITSPERSAMPLE) == (12,):
        levels = np.bitwise_or(levels << 4, levels >> 8)
    return levels


def _from_signed(samples: npt.NDArray[Any], bits: int, mode: str) -> npt.NDArray[Any]:
    """Convert signed integers to unsigned ones of the same depth: the largest is white in both."""
    if samples.min() < 0:
        raise InputError(f"a TIFF of mode {mode} with signed samples, of which some are negative")
    unsigned: npt.NDArray[Any] = samples.astype(np.uint8 if bits == 8 else np.uint16)
    widened: npt.NDArray[Any] = np.bitwise_or(unsigned << 1, unsigned >> (bits - 2))
    return widened


def _from_floats(samples: npt.NDArray[np.float32]) -> Levels:
    """Convert floats to levels; the largest decides whether white is 1 or 255."""
    if not np.isfinite(samples).all():
        raise InputError("an image of mode F (floats) with samples that are not finite numbers")
    low, high = float(samples.min()), float(samples.max())
    white = 1 if high < UNIT_FLOATS_END else 255
    if low < -FLOAT_TOLERANCE * white or high > max(UNIT_FLOATS_END, (1 + FLOAT_TOLERANCE) * 255):
        raise InputError(
            f"an image of mode F (floats) with samples from {low:g} to {high:g}; "
            "only 0 to 1 or 0 to 255 can be read"
        )
    if white == 1:
        return np.round(np.clip(samples, 0, 1) * 65535).astype(np.uint16)
    return np.clip(samples, 0, 255).astype(np.uint16) * np.uint16(257)


def _whiten(levels: Levels, tags: Mapping[int, Any]) -> Levels:
    """Invert the levels if a TIFF says that white is 0, which Pillow does only up to 8 bits."""
    is_inverted = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    return 65535 - levels if is_inverted else levels


def _deep_to_rgb(levels: Levels, image: Image.Image) -> Image.Image:
    """Convert gray levels of an image that may have a profile and a transparent level."""
    convert = conversion_to_srgb(image.info.get("icc_profile"), "I;16")
    if convert:  # before the reduction, which would lose the dark levels of a linear profile
        rgb = convert(Image.fromarray(levels))
    else:
        rgb = Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        rgb.paste("white", mask=Image.fromarray(levels == transparent))
    return rgb


def _shallow_to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of 8 bits a sample or less."""
    if image.mode == "LAB":
        return lab_to_srgb(image)
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    mode = _PROFILED_MODES.get(image.mode, "")
    convert = conversion_to_srgb(image.info.get("icc_profile"), mode) if mode else None
    if not image.has_transparency_data:
        return convert(image.convert(mode)) if convert else image.convert("RGB")
    image = image.convert("RGBA")
    if convert:  # before the blending, as browsers do: the white behind the image is sRGB's
        colors = image.getchannel("R") if mode == "L" else image.convert("RGB")
        alpha = image.getchannel("A")
        image = convert(colors)
        image.putalpha(alpha)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
