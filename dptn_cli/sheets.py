"""Contact sheets: rows of pictures under captions, to look at many results at once."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dptn_cli.records import PictureU8, Size

GAP = 4
CAPTION_HEIGHT = 18
PAPER = (255, 255, 255)
INK = (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[PictureU8 | None]], captions: Sequence[str], cell: Size
) -> PictureU8:
    """Lay pictures out in rows.

    Args:
        rows: of pictures (H, W, 3) uint8; None leaves a cell empty. A picture is shrunk or
            enlarged to fit its cell, its proportions kept.
        captions: one a column.
        cell: (height, width) of a cell, pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = cell
    sheet = Image.new(
        "RGB",
        (
            len(captions) * (width + GAP) + GAP,
            CAPTION_HEIGHT + len(rows) * (height + GAP) + GAP,
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for column, caption in enumerate(captions):
        middle = GAP + column * (width + GAP) + width // 2
        draw.text((middle, CAPTION_HEIGHT // 2 + 1), caption, fill=INK, font=font, anchor="mm")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            if picture is not None:
                image = _fitted(picture, cell)
                left = GAP + column * (width + GAP) + (width - image.width) // 2
                top = CAPTION_HEIGHT + row * (height + GAP) + (height - image.height) // 2
                sheet.paste(image, (left, top))
    return np.asarray(sheet)


def _fitted(picture_u8: PictureU8, cell: Size) -> Image.Image:
    image = Image.fromarray(picture_u8)
    scale = min(cell[0] / image.height, cell[1] / image.width)
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)
