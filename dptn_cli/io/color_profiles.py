"""Embedded ICC profiles: the conversion of a profile's colours to sRGB."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageCms

from dptn_cli.types import ImageU8

Conversion: TypeAlias = Callable[[Image.Image], Image.Image]
"""Converts an image of one mode to 8-bit sRGB of mode RGB. Threads may share it."""

MAX_PROFILE_BYTES = 4 << 20  # the largest profiles in use, those of printers, take 1 to 3 MB
CACHED_CONVERSIONS = 8
_SPACES = {"L": "GRAY", "I;16": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_INPUT_CLASSES = ("scnr", "mntr", "prtr", "spac")  # not device links and the like
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
# A profile whose colours differ from sRGB by no more than rounding is sRGB. Levels of 255.
_ROUNDING = 2
_MIN_CONTRAST = 64  # between white and black, levels of 255; a profile with less is broken


def conversion_to_srgb(profile: object, mode: str) -> Conversion | None:
    """Return the relative colorimetric conversion of a profile's colours to sRGB.

    Args:
        profile: the ICC profile as an image file holds it. Anything but bytes is no profile.
        mode: Pillow's mode of the pixels: L, I;16, RGB or CMYK.

    Returns:
        The conversion; None if the pixels are to be left as they are, because the profile is
        sRGB, or because it is broken, larger than `MAX_PROFILE_BYTES` or for other pixels than
        these.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return None
    return _cached_conversion(profile, mode)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image of mode LAB to 8-bit sRGB of mode RGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", _INTENT).apply(image)


@lru_cache(maxsize=CACHED_CONVERSIONS)
def _cached_conversion(profile: bytes, mode: str) -> Conversion | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        if source.profile.device_class.strip() not in _INPUT_CLASSES:
            return None
        convert = _build(source, mode)
        return convert if _is_useful(convert, mode) else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _build(source: ImageCms.ImageCmsProfile, mode: str) -> Conversion:
    srgb = ImageCms.createProfile("sRGB")
    if _SPACES[mode] != "GRAY":
        return ImageCms.buildTransform(source, srgb, mode, "RGB", _INTENT).apply
    # Little CMS reduces the curve of a gray profile to a few points, which spoils the shadows of
    # a linear one. Without that it is slow, so each level is converted only once.
    exact = ImageCms.Flags.NOOPTIMIZE
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB", _INTENT, exact)
    table: ImageU8 = np.asarray(transform.apply(_gray_levels(mode)))[0]
    return lambda image: Image.fromarray(table[np.asarray(image)])


def _is_useful(convert: Conversion, mode: str) -> bool:
    """Return whether a conversion changes colours, and keeps black apart from white."""
    if mode == "CMYK":
        paper_and_ink = Image.new("CMYK", (2, 1))
        paper_and_ink.putpixel((1, 0), (255, 255, 255, 255))
        white, black = np.asarray(convert(paper_and_ink))[0].mean(axis=-1)
        return bool(white - black >= _MIN_CONTRAST)
    probe = _color_grid() if mode == "RGB" else _gray_levels(mode)
    before, after = np.asarray(probe), np.asarray(convert(probe)).astype(int)
    if mode == "RGB":
        unchanged = before
    else:
        unchanged = (before >> (8 if mode == "I;16" else 0))[..., np.newaxis]
    contrast = after[0, -1].mean() - after[0, 0].mean()
    return bool(contrast >= _MIN_CONTRAST and np.abs(after - unchanged).max() > _ROUNDING)


def _gray_levels(mode: str) -> Image.Image:
    """Return one row with all levels, from black to white."""
    levels = np.arange(256, dtype=np.uint8) if mode == "L" else np.arange(65536, dtype=np.uint16)
    return Image.fromarray(levels[np.newaxis])


def _color_grid() -> Image.Image:
    """Return one row of RGB pixels from all parts of the cube, from black to white."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3))
