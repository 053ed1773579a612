"""Shapes, cloth patterns and the large image that figures are painted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

# isort: split
from figures_people import Array, Colour, Fabric

_CAP = np.linspace(0.0, np.pi, 9)  # angles around the round end of a bone, radians
_ALONG = np.linspace(0.0, 1.0, 7)  # positions along a bone, from its start to its end


@dataclass(frozen=True)
class Piece:
    """A body part's outlines, and the axes that its cloth's pattern follows.

    Attributes:
        outlines: polygons, each (N, 2) as (x, y) in pixels.
        origin: (x, y) of the pattern's origin, pixels.
        across: (x, y) step of one body unit across the cloth, pixels.
        along: (x, y) step of one body unit along the cloth, pixels.
    """

    outlines: tuple[Array, ...]
    origin: Array
    across: Array
    along: Array


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours: 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, strength: float = 1.0) -> Colour:
    """Darken a colour and make it a little cooler, as in the shade."""
    return mix(colour, (round(colour[0] * 0.72), round(colour[1] * 0.71),
                         round(colour[2] * 0.78)), strength)  # fmt: skip


def _shade_table(strength: float) -> list[int]:
    """Return the lookup table of `shade` for `Image.point`: 256 values for each channel."""
    return [round(i * (1 - (1 - f) * strength)) for f in (0.72, 0.71, 0.78) for i in range(256)]


def unit_vector(vector: Array) -> Array:
    """Scale a vector to length 1."""
    return np.asarray(vector / max(float(np.hypot(*vector)), 1e-9))


def taper(start: Array, end: Array, radii: tuple[float, float, float], bulge: float = 1.0) -> Array:
    """Return the outline of a bone of a limb.

    Args:
        start: (x, y) where the bone begins.
        end: (x, y) where it ends.
        radii: at the start, the middle and the end.
        bulge: 1 makes the end round; a small value makes it nearly flat, like a sleeve's hem.
    """
    along = unit_vector(end - start)
    side = np.array([-along[1], along[0]])
    first, middle, last = radii
    t = _ALONG
    radius = first * (1 - t) * (1 - 2 * t) + 4 * middle * t * (1 - t) + last * t * (2 * t - 1)
    spine = start + t[:, None] * (end - start)
    cap = np.cos(_CAP)[:, None] * side, np.sin(_CAP)[:, None] * along
    return np.concatenate([
        spine + radius[:, None] * side,
        end + last * (cap[0] + bulge * cap[1]),
        (spine - radius[:, None] * side)[::-1],
        start - first * (cap[0] + cap[1]),
    ])  # fmt: skip


def smooth(points: Sequence[tuple[float, float]], steps: int = 6) -> Array:
    """Return a closed Catmull-Rom curve through the points, with `steps` vertices for each."""
    p1 = np.asarray(points, dtype=np.float64)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.arange(steps)[None, :, None] / steps
    a, b, c, d = (p[:, None] for p in (p0, p1, p2, p3))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve.reshape(-1, 2))


def ellipse(x: float, y: float, rx: float, ry: float) -> Array:
    """Return the outline of an ellipse with centre (x, y) and radii rx and ry."""
    angle = np.linspace(0.0, 2 * np.pi, 28, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def mirror(half: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a closed symmetric outline from its right half, listed from top to bottom."""
    return [*half, *((-x, y) for x, y in reversed(half) if x > 0)]


class Canvas:
    """A large image on which body parts are painted one over the other.

    Args:
        width: width in pixels.
        height: height in pixels.
        unit: pixels of one body unit.
        background: colour of the empty image.

    Attributes:
        image: the image.
        figure: mask of what has been painted with `paint`; shadows fall on it alone.
    """

    def __init__(self, width: int, height: int, unit: float, background: Colour) -> None:
        self.unit = unit
        self.image = Image.new("RGB", (width, height), background)
        self.figure = Image.new("L", (width, height), 0)

    def _box(self, outlines: Sequence[Array]) -> tuple[int, int, int, int] | None:
        points = np.concatenate(list(outlines))
        low, high = np.floor(points.min(0)) - 1, np.ceil(points.max(0)) + 2
        left, top = (int(max(v, 0)) for v in low)
        right, bottom = (int(min(v, m)) for v, m in zip(high, self.image.size, strict=True))
        return (left, top, right, bottom) if left < right and top < bottom else None

    @staticmethod
    def _mask(outlines: Sequence[Array], box: tuple[int, int, int, int],
              shift: tuple[float, float] = (0.0, 0.0)) -> Image.Image:  # fmt: skip
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]), 0)
        pen = ImageDraw.Draw(mask)
        for outline in outlines:
            pen.polygon((outline + np.subtract(shift, box[:2])).ravel().tolist(), fill=255)
        return mask

    def paint(
        self, pieces: Sequence[Piece], fabric: Fabric, rim: float = 0.012, strength: float = 0.8
    ) -> None:
        """Paint the pieces as one part, with a shaded rim on the side away from the light.

        Args:
            pieces: the pieces.
            fabric: their cloth.
            rim: width of the rim, body units; 0 for none.
            strength: how dark the rim is, 0 to 1.
        """
        outlines = [outline for piece in pieces for outline in piece.outlines]
        box = self._box(outlines)
        if box is None:
            return
        mask = self._mask(outlines, box)
        tile = Image.new("RGB", mask.size, fabric.colour)
        for number, piece in enumerate(pieces):
            if fabric.pattern in ("plain", "print"):
                break
            cloth = tile if number == 0 else Image.new("RGB", mask.size, fabric.colour)
            _weave(ImageDraw.Draw(cloth), fabric, piece, box)
            if number:
                tile.paste(cloth, mask=self._mask(piece.outlines, box))
        if rim > 0:
            width = rim * self.unit
            lit = self._mask(outlines, box, (-width, -0.35 * width))
            tile.paste(tile.point(_shade_table(strength)), mask=ImageChops.subtract(mask, lit))
        self.image.paste(tile, box[:2], mask)
        self.figure.paste(255, box, mask)

    def drop_shadow(self, pieces: Sequence[Piece], shift: tuple[float, float] = (0.007, 0.012),
                    strength: float = 0.26) -> None:  # fmt: skip
        """Darken the figure where pieces that are painted next will block the light."""
        outlines = [outline for piece in pieces for outline in piece.outlines]
        offset = (shift[0] * self.unit, shift[1] * self.unit)
        box = self._box([outline + np.array(offset) for outline in outlines])
        if box is None:
            return
        shadow = ImageChops.multiply(self._mask(outlines, box, offset), self.figure.crop(box))
        self.image.paste((36, 24, 48), box, shadow.point([round(i * strength) for i in range(256)]))

    def fill(self, outline: Array, colour: Colour) -> None:
        """Fill an outline without shading."""
        ImageDraw.Draw(self.image).polygon(outline.ravel().tolist(), fill=colour)

    def line(self, points: Array, colour: Colour, width: float) -> None:
        """Draw a line of a width given in body units."""
        width_px = max(1, round(width * self.unit))
        ImageDraw.Draw(self.image).line(points.ravel().tolist(), colour, width_px, joint="curve")


def _weave(pen: ImageDraw.ImageDraw, fabric: Fabric, piece: Piece,
           box: tuple[int, int, int, int]) -> None:  # fmt: skip
    """Draw a cloth's pattern onto a tile, along the piece's axes.

    Args:
        pen: draws on the tile.
        fabric: the cloth.
        piece: the piece that the cloth covers.
        box: (left, top, right, bottom) of the tile in the image.
    """
    origin = piece.origin - np.array(box[:2])
    period, reach = fabric.period, 0.46
    count = int(reach / period)
    if fabric.pattern == "dots":
        radius = 0.3 * period * float(np.hypot(*piece.along))
        for row in range(-count, count + 1):
            for column in range(-count // 2, count // 2 + 1):
                offset = (column + 0.5 * (row % 2)) * 1.15 * piece.across + 0.85 * row * piece.along
                x, y = origin + period * offset
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fabric.accent)
        return
    soft = mix(fabric.colour, fabric.accent, 0.5)

    def bands(along: Array, across: Array, colour: Colour, share: float) -> None:
        half = 0.5 * share * period
        for number in range(-count, count + 1):
            low, high = (origin + (number * period + e) * along for e in (-half, half))
            quad = np.stack([low - reach * across, low + reach * across,
                             high + reach * across, high - reach * across])  # fmt: skip
            pen.polygon(quad.ravel().tolist(), fill=colour)

    if fabric.pattern == "stripes":
        bands(piece.along, piece.across, fabric.accent, 0.48)
    elif fabric.pattern == "pinstripes":
        bands(piece.across, piece.along, fabric.accent, 0.42)
    else:
        bands(piece.along, piece.across, soft, 0.5)
        bands(piece.across, piece.along, soft, 0.5)
        _crossings(pen, fabric, piece, origin)


def _crossings(pen: ImageDraw.ImageDraw, fabric: Fabric, piece: Piece, origin: Array) -> None:
    """Draw the squares where the bands of a checked cloth cross."""
    count, quarter = int(0.4 / fabric.period), 0.25 * fabric.period
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * quarter
    square = corners @ np.stack([piece.across, piece.along])
    for row in range(-count, count + 1):
        for column in range(-count, count + 1):
            offset = fabric.period * (column * piece.across + row * piece.along)
            pen.polygon((origin + offset + square).ravel().tolist(), fill=fabric.accent)
