"""Contact sheets: rows of images under captions, to look at many results at once."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dptn_cli.types import ImageU8, Size

GAP = 4
GROUP_GAP = 20
CAPTION_HEIGHT = 18
FONT = ImageFont.load_default(11)
PAPER = (255, 255, 255)
INK = (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[ImageU8 | None]],
    captions: Sequence[str],
    cell: Size,
    labels: Sequence[Sequence[str]] = (),
) -> ImageU8:
    """Lay images out in rows.

    Args:
        rows: of images (H, W, 3) uint8; None leaves a cell empty. An image is shrunk or
            enlarged to fit its cell, its proportions kept.
        captions: one a column.
        cell: (height, width) of a cell, pixels.
        labels: for each row the names that stand under it, each under as many columns as the
            others; what is too long is cut at its beginning.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    groups = max(map(len, labels), default=1)
    together = len(captions) // groups
    lefts = [
        GAP + column * (cell[1] + GAP) + column // together * GROUP_GAP
        for column in range(len(captions))
    ]
    row_height = cell[0] + GAP + (CAPTION_HEIGHT if labels else 0)
    size = (lefts[-1] + cell[1] + GAP, CAPTION_HEIGHT + len(rows) * row_height + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for left, caption in zip(lefts, captions, strict=True):
        _write(draw, caption, left + cell[1] // 2, CAPTION_HEIGHT // 2 + 1)
    width = together * (cell[1] + GAP)
    for row, images in enumerate(rows):
        top = CAPTION_HEIGHT + row * row_height
        _paste(sheet, images, lefts=lefts, top=top, cell=cell)
        for left, label in zip(lefts[::together], labels[row] if labels else (), strict=False):
            middle = top + cell[0] + CAPTION_HEIGHT // 2
            _write(draw, _cut(label, width), left + (width - GAP) // 2, middle)
    return np.asarray(sheet)


def _paste(
    sheet: Image.Image,
    images: Sequence[ImageU8 | None],
    *,
    lefts: Sequence[int],
    top: int,
    cell: Size,
) -> None:
    """Put a row's images into the middle of their cells, which begin at `lefts` and `top`."""
    for left, image_u8 in zip(lefts, images, strict=False):
        if image_u8 is not None:
            image = _fitted(image_u8, cell)
            beside, above = (cell[1] - image.width) // 2, (cell[0] - image.height) // 2
            sheet.paste(image, (left + beside, top + above))


def _write(draw: ImageDraw.ImageDraw, text: str, x: int, y: int) -> None:
    """Write a name; of letters that Pillow's own font lacks, what stands for them in ASCII."""
    text = "".join(char if char in "…" else _plain(char) for char in text)
    draw.text((x, y), text, fill=INK, font=FONT, anchor="mm")


def _plain(char: str) -> str:
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or (
        "" if unicodedata.combining(char) else "?"
    )


def _cut(text: str, width: int) -> str:
    if FONT.getlength(text) <= width:
        return text
    while text and FONT.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


def _fitted(image_u8: ImageU8, cell: Size) -> Image.Image:
    image = Image.fromarray(image_u8)
    scale = min(cell[0] / image.height, cell[1] / image.width)
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)
