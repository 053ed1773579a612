"""Contact sheets."""

import numpy as np

from dptn_cli.visualize.contact_sheet import CAPTION_HEIGHT, GAP, GROUP_GAP, contact_sheet


def test_images_are_in_their_cells() -> None:
    red, blue = (np.full((20, 10, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    sheet = contact_sheet([[red, None], [None, blue]], ["one", "two"], (20, 10))
    assert sheet.shape == (CAPTION_HEIGHT + 2 * (20 + GAP) + GAP, 2 * (10 + GAP) + GAP, 3)
    assert tuple(sheet[CAPTION_HEIGHT + 10, GAP + 5]) == (255, 0, 0)
    assert tuple(sheet[CAPTION_HEIGHT + 10, 2 * GAP + 15]) == (255, 255, 255)
    assert tuple(sheet[CAPTION_HEIGHT + 30 + GAP, 2 * GAP + 15]) == (0, 0, 255)


def test_an_image_keeps_its_proportions() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    sheet = contact_sheet([[wide]], ["wide"], (20, 20))
    column = sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + 20, GAP + 10, 0]
    assert (column == 0).sum() == 5


def test_groups_have_a_gap_between_and_labels_below() -> None:
    dark = np.zeros((20, 40, 3), np.uint8)
    labels = [["one", "two"], ["a label much longer than its image"]]
    sheet = contact_sheet([[dark, dark], [dark]], ["a", "b"], (20, 40), labels)
    assert sheet.shape[1] == 2 * (40 + GAP) + GAP + GROUP_GAP
    second = CAPTION_HEIGHT + 20 + GAP + CAPTION_HEIGHT
    assert (sheet[second : second + 20, GAP : GAP + 40] == 0).all()
    label = sheet[second + 20 : second + 20 + CAPTION_HEIGHT]
    assert (label[:, : GAP + 40 + GAP] < 100).any()
    assert (label[:, GAP + 40 + GAP :] == 255).all(), "cut to its image's width"


def test_captions_are_in_the_font_that_has_their_letters() -> None:
    """Whichever fonts this machine has: the sheet is drawn as `captions.caption` says."""
    dark = np.zeros((20, 90, 3), np.uint8)
    composed, decomposed = (contact_sheet([[dark]], [name], (20, 90)) for name in ("Ä", "A\u0308"))
    assert np.array_equal(composed, decomposed)
    assert not np.array_equal(composed, contact_sheet([[dark]], ["A"], (20, 90)))
    assert not np.array_equal(composed, contact_sheet([[dark]], ["?"], (20, 90)))
