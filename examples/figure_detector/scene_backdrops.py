"""Backdrops for drawn figures: plain, shaded, halved, cloudy and cluttered."""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array: TypeAlias = NDArray[np.float64]
"""(H, W, 3), 0 to 255, unless said otherwise."""

KINDS = ("plain", "shaded", "halves", "clouds", "clutter")
CHANCES = (0.34, 0.18, 0.16, 0.12, 0.20)


def sample_backdrop(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Sample a backdrop of a random kind; `size` is (height, width)."""
    kind = str(rng.choice(KINDS, p=CHANCES))
    if kind == "plain":
        return np.broadcast_to(_colour(rng), (*size, 3)).copy()
    if kind == "shaded":
        return _blend(rng, _ramp(rng, size))
    if kind == "halves":
        return _blend(rng, (_ramp(rng, size) > rng.uniform(0.25, 0.75)).astype(np.float64))
    if kind == "clouds":
        return _clouds(rng, size)
    return _clutter(rng, size)


def _colour(rng: np.random.Generator) -> Array:
    """Sample an RGB colour (3,) of any brightness, mostly pale."""
    value = float(rng.choice((rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.85), rng.uniform(0.85, 1))))
    saturation = float(rng.uniform(0, 0.9) ** 2)
    return 255 * np.array(colorsys.hsv_to_rgb(float(rng.random()), saturation, value))


def _ramp(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Return a ramp (H, W) from 0 to 1 across the image, in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    ramp = rows * np.sin(angle) / size[0] + columns * np.cos(angle) / size[1]
    return np.asarray((ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-9))


def _blend(rng: np.random.Generator, share: Array) -> Array:
    """Blend two random colours by a share (H, W) from 0 to 1."""
    first, second = _colour(rng), _colour(rng)
    return np.asarray(first + share[..., None] * (second - first))


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Return soft noise between two colours, with grain on it."""
    grid = rng.random((int(rng.integers(3, 14)), int(rng.integers(3, 14)))) * 255
    noise = Image.fromarray(grid.astype(np.uint8)).resize(
        (size[1], size[0]), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, rng.uniform(0, 12), (*size, 1))
    return np.clip(_blend(rng, np.asarray(noise) / 255.0) + grain, 0, 255)


def _clutter(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Draw boxes, balls and poles, some as wide as limbs."""
    height, width = size
    image = Image.new("RGB", (width, height), _to_integers(_colour(rng)))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 16))):
        fill = _to_integers(_colour(rng))
        x, y = rng.uniform(-0.1, 1.1, 2) * (width, height)
        across, down = rng.uniform(0.02, 0.4, 2) * min(size)
        shape = rng.integers(3)
        if shape == 0:
            pen.rectangle((x - across, y - down, x + across, y + down), fill)
        elif shape == 1:
            pen.ellipse((x - across, y - down, x + across, y + down), fill)
        else:
            end = rng.uniform(-0.1, 1.1, 2) * (width, height)
            pen.line((x, y, end[0], end[1]), fill, int(rng.integers(2, max(3, min(size) // 8))))
    return np.asarray(image, dtype=np.float64)


def _to_integers(colour: Array) -> tuple[int, int, int]:
    red, green, blue = (int(round(float(channel))) for channel in colour)
    return red, green, blue
