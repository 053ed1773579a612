"""Draw contact sheets: a grid of captioned images, to look at many results at once."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from dptn_cli.types import ImageU8, Size
from dptn_cli.visualize.captions import Caption, caption

# All sizes are in pixels.
GAP = 4
GROUP_GAP = 20
CAPTION_HEIGHT = 18
PAPER = (255, 255, 255)
INK = (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[ImageU8 | None]],
    captions: Sequence[str],
    cell: Size,
    labels: Sequence[Sequence[str]] = (),
) -> ImageU8:
    """Arrange images in a grid, with captions above the columns and labels under the rows.

    Args:
        rows: the images of each row, (H, W, 3) uint8 RGB; None leaves a cell empty. An image is
            scaled to fit its cell and keeps its proportions.
        captions: one caption per column.
        cell: (height, width) of a cell, pixels.
        labels: the labels of each row; none by default. The columns are divided evenly into
            groups, as many as the longest row of labels has, and each label is centred under
            its group. A label that is too long loses its beginning. Letters that no font of this
            machine has are written as escapes.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    groups = max(map(len, labels), default=1)
    group_columns = len(captions) // groups
    lefts = [
        GAP + column * (cell[1] + GAP) + column // group_columns * GROUP_GAP
        for column in range(len(captions))
    ]
    row_height = cell[0] + GAP + (CAPTION_HEIGHT if labels else 0)
    size = (lefts[-1] + cell[1] + GAP, CAPTION_HEIGHT + len(rows) * row_height + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for left, text in zip(lefts, captions, strict=True):
        _write(draw, caption(text), left + cell[1] // 2, CAPTION_HEIGHT // 2 + 1)
    group_width = group_columns * (cell[1] + GAP)
    for row, images in enumerate(rows):
        top = CAPTION_HEIGHT + row * row_height
        for left, image_u8 in zip(lefts, images, strict=False):
            if image_u8 is not None:
                image = _scale_to_fit(image_u8, cell)
                margin_x, margin_y = (cell[1] - image.width) // 2, (cell[0] - image.height) // 2
                sheet.paste(image, (left + margin_x, top + margin_y))
        row_labels = labels[row] if labels else ()
        for left, label in zip(lefts[::group_columns], row_labels, strict=False):
            middle = left + (group_width - GAP) // 2
            y = top + cell[0] + CAPTION_HEIGHT // 2
            _write(draw, caption(label).shortened(group_width), middle, y)
    return np.asarray(sheet)


def cell_width(sheet_width: int, columns: int, groups: int) -> int:
    """Return the width of the cells in a sheet of some width; 0 if no width of cells gives it.

    Args:
        sheet_width: pixels.
        columns: number of columns.
        groups: number of groups that the columns are divided into.
    """
    cells = sheet_width - GAP - (groups - 1) * GROUP_GAP - columns * GAP
    return max(0, cells // columns) if cells % columns == 0 else 0


def _write(draw: ImageDraw.ImageDraw, written: Caption, x: int, y: int) -> None:
    """Write a caption centred on (x, y)."""
    draw.text((x, y), written.text, fill=INK, font=written.font, anchor="mm")


def _scale_to_fit(image_u8: ImageU8, cell: Size) -> Image.Image:
    image = Image.fromarray(image_u8)
    scale = min(cell[0] / image.height, cell[1] / image.width)
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)
