"""Contact sheets."""

import numpy as np

from dptn_cli.sheets import CAPTION_HEIGHT, GAP, contact_sheet


def test_pictures_stand_in_their_cells() -> None:
    red, blue = (np.full((20, 10, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    sheet = contact_sheet([[red, None], [None, blue]], ["one", "two"], (20, 10))
    assert sheet.shape == (CAPTION_HEIGHT + 2 * (20 + GAP) + GAP, 2 * (10 + GAP) + GAP, 3)
    assert tuple(sheet[CAPTION_HEIGHT + 10, GAP + 5]) == (255, 0, 0)
    assert tuple(sheet[CAPTION_HEIGHT + 10, 2 * GAP + 15]) == (255, 255, 255)
    assert tuple(sheet[CAPTION_HEIGHT + 30 + GAP, 2 * GAP + 15]) == (0, 0, 255)


def test_a_picture_keeps_its_proportions() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    sheet = contact_sheet([[wide]], ["wide"], (20, 20))
    column = sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + 20, GAP + 10, 0]
    assert (column == 0).sum() == 5
