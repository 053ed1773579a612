"""Captions in any script, on machines with and without fonts."""

import pytest
from PIL import ImageFont

from dptn_cli.visualize.captions import Font, available_fonts, caption

BUILT_IN = ImageFont.load_default(11)


def font_with(letters: str) -> Font | None:
    """A font of this machine that has these letters."""
    for font in available_fonts():
        if caption(letters, [font]).text == letters:
            return font
    return None


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain_name-1.png", "plain_name-1.png"),
        ("Änne_Größe.png", "\\xc4nne_Gr\\xf6\\xdfe.png"),
        ("A\u0308nne", "\\xc4nne"),
        ("人", "\\u4eba"),
        ("a—b–c", "a\\u2014b\\u2013c"),
        ("\U0001f600", "\\U0001f600"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("why?.png", "why?.png"),
    ],
)
def test_without_a_font_of_the_system_letters_are_escaped(text: str, escaped: str) -> None:
    """Never replaced by another letter, so that two names never look alike."""
    assert caption(text, [BUILT_IN]).text == escaped


@pytest.mark.parametrize("text", ["Änne_Größe.png", "Привет", "中文", "a—b–c", "Łódź"])
def test_a_font_that_has_the_letters_is_taken(text: str) -> None:
    found = font_with(text)
    drawn = caption(text)
    if found is None:
        assert "?" not in drawn.text
        assert drawn.text.isascii() or drawn.font is not BUILT_IN
    else:
        assert drawn.text == text
        assert drawn.font is not BUILT_IN


def test_plain_names_keep_the_built_in_font() -> None:
    """Pages of older versions are recognized by their captions."""
    drawn = caption("source", [BUILT_IN, *available_fonts()])
    assert drawn.font is BUILT_IN
    assert bytes(drawn.font.getmask("source")) == bytes(BUILT_IN.getmask("source"))


def test_a_control_character_is_escaped_in_every_font() -> None:
    for char in ("\u202e", "\u200f", "\x07", "\ue000"):
        assert caption(char).text.isascii()


def test_a_long_caption_loses_its_beginning() -> None:
    long = caption("folder/with/a/long/name/end.png", [BUILT_IN])
    short = long.shortened(80)
    assert short.width <= 80
    assert short.text.startswith("...")
    assert short.text.endswith("end.png")
    assert long.shortened(10_000) is long


def test_a_bitmap_font_is_a_font_too() -> None:
    """What Pillow gives if it was built without FreeType."""
    bitmap = ImageFont.load_default_imagefont()
    assert caption("Änne 人", [bitmap]).text.startswith(("Ä", "\\xc4"))
    assert "\\u4eba" in caption("人", [bitmap]).text


def test_a_font_without_latin_letters_does_not_draw_a_name_that_has_them() -> None:
    """Some fonts have Chinese only; the whole caption is in one font."""
    for font in available_fonts():
        for letters in ("abc_1.png", "中文"):
            drawn = caption(f"中文{letters}", [font]).text
            assert drawn.isascii() or caption(drawn, [font]).text == drawn
    chosen = caption("中文_2_back_vis.png")
    assert chosen.text.endswith("_2_back_vis.png")
    assert caption("_2_back_vis.png", [chosen.font]).text == "_2_back_vis.png"


def test_an_escape_is_not_cut() -> None:
    """Half of one would read as another name."""
    escaped = caption("中文.jpg", [BUILT_IN])
    shown = {escaped.shortened(width).text for width in range(10, 120)}
    assert shown <= {
        "...",
        *("..." + "".join(escaped.pieces[i:]) for i in range(1, 7)),
        escaped.text,
    }


def test_spaces_of_any_kind_are_spaces() -> None:
    assert caption("a\u00a0b\u202fc\u3000d", [BUILT_IN]).text == "a b c d"
