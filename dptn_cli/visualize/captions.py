r"""Captions in any script: in a font that has their letters, or with escapes.

Pillow's built-in font has ASCII and little more. Other letters need a font of the system. A letter
that no font has is written as an escape, such as `\u4e2d`, so that the name stays unambiguous.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

from PIL import ImageFont, features

SIZE_PX = 11
# Files that Pillow finds by name in the system's folders of fonts: on Linux, Windows and macOS.
SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf",
    "arial.ttf", "Arial.ttf", "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf", "unifont.ttf",
    "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "simsun.ttc",
    "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
)  # fmt: skip
_ABSENT = "\U0010ffff"  # a character that no font has: it is drawn as the font's "missing" sign
_RIGHT_TO_LEFT = ("R", "AL")
# Categories of what is no letter or sign of its own: controls, surrogates, private, unassigned.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Caption:
    """A text and a font that has all its letters.

    Attributes:
        pieces: what is drawn: letters, and escapes, which are not cut.
        font: what it is drawn in.
    """

    pieces: tuple[str, ...]
    font: Font

    @property
    def text(self) -> str:
        """What is drawn, as a whole."""
        return "".join(self.pieces)

    @property
    def width(self) -> float:
        """Width of the drawn text, pixels."""
        return float(self.font.getlength(self.text))

    def shortened(self, width_px: float) -> "Caption":
        """Return the caption cut at its beginning: the end of a file name says more."""
        if self.width <= width_px:
            return self
        pieces = self.pieces
        while pieces and self.font.getlength("..." + "".join(pieces)) > width_px:
            pieces = pieces[1:]
        return Caption(("...", *pieces), self.font)


def caption(text: str, fonts: Sequence[Font] | None = None) -> Caption:
    """Return how a text is drawn.

    Args:
        text: any text. Decomposed letters, as in file names of macOS, are composed.
        fonts: the fonts to choose from, the preferred one first; None for the built-in one and
            those of the system.

    Returns:
        The text in the first font that has most of its letters, and an escape for each other.
    """
    text = unicodedata.normalize("NFC", text)
    fonts = available_fonts() if fonts is None else fonts
    font = max(fonts, key=lambda font: sum(_can_draw(font, char) for char in text))
    return Caption(tuple(_or_escape(font, char) for char in text), font)


@cache
def available_fonts() -> tuple[Font, ...]:
    """Return the built-in font and the fonts of `SYSTEM_FONTS` that this machine has."""
    fonts: list[Font] = [ImageFont.load_default(SIZE_PX)]
    for name in SYSTEM_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, SIZE_PX))
        except (OSError, ImportError):  # not there, or Pillow has no FreeType
            continue
    return tuple(fonts)


def _or_escape(font: Font, char: str) -> str:
    if unicodedata.category(char) == "Zs":
        return " "
    if _can_draw(font, char):
        return char
    return char.encode("unicode_escape").decode()


@lru_cache(maxsize=1 << 14)
def _can_draw(font: Font, char: str) -> bool:
    """Return whether a font has a character, and draws it where it belongs."""
    if char == " ":
        return True
    if unicodedata.category(char) in _UNPRINTABLE or char.isspace():
        return False
    if unicodedata.bidirectional(char) in _RIGHT_TO_LEFT and not features.check("raqm"):
        return False  # would be drawn from left to right
    return _drawn(font, char) != _drawn(font, _ABSENT)


@lru_cache(maxsize=1 << 14)
def _drawn(font: Font, char: str) -> tuple[tuple[int, int], bytes]:
    """Return the size of a character's image, and its pixels."""
    try:
        mask = font.getmask(char)
    except (UnicodeError, ValueError, OSError):  # bitmap fonts encode in Latin-1
        return (0, 0), b""
    return mask.size, bytes(mask)
