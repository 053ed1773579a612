"""The pixels of an opened image, whatever its samples mean, as 8-bit RGB.

Pillow decodes the samples. Here they get their meaning: what is black and what is white, what an
ICC profile says of the colours, and what is transparent.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.io.color_profiles import conversion_to_srgb, lab_to_srgb

# The mode of the pixels that an image's ICC profile is about.
_PROFILED_MODES = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}
_PROFILED_MODES |= {"PA": "RGB", "YCbCr": "RGB", "CMYK": "CMYK"}


def load_rgb(image: Image.Image) -> Image.Image:
    """Load the pixels of an opened image and convert them to 8-bit RGB.

    Colours are converted to sRGB by the image's ICC profile, and left as they are if there is
    none that can be used. Transparency is blended with white. 16 bits a sample are reduced to 8.

    Args:
        image: an image of any mode, as `Image.open` returns it; it is not turned upright.
    """
    image.load()
    if image.mode.startswith("I;16"):
        return _deep_to_rgb(np.asarray(image).astype(np.uint16), image)
    if image.mode == "I":  # 16-bit values, held in 32 bits
        return _deep_to_rgb(np.clip(np.asarray(image), 0, 65535).astype(np.uint16), image)
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8)).convert("RGB")
    return _shallow_to_rgb(image)


def _deep_to_rgb(levels: npt.NDArray[np.uint16], image: Image.Image) -> Image.Image:
    """Convert gray levels of 16 bits.

    Args:
        levels: (H, W) uint16.
        image: where they are from, for its profile.
    """
    convert = conversion_to_srgb(image.info.get("icc_profile"), "I;16")
    if convert:  # before the reduction, which would lose the dark levels of a linear profile
        return convert(Image.fromarray(levels))
    return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")


def _shallow_to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of 8 bits a sample or less."""
    if image.mode == "LAB":
        return lab_to_srgb(image)
    mode = _PROFILED_MODES.get(image.mode, "")
    profile: Any = image.info.get("icc_profile")
    convert = conversion_to_srgb(profile, mode) if mode else None
    if not image.has_transparency_data:
        return convert(image.convert(mode)) if convert else image.convert("RGB")
    image = image.convert("RGBA")
    if convert:  # before the blending, as browsers do: the white behind the image is sRGB's
        colours = image.getchannel("R") if mode == "L" else image.convert("RGB")
        alpha = image.getchannel("A")
        image = convert(colours)
        image.putalpha(alpha)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
