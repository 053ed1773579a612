"""Match names in pose files to images whose names are spelled differently."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from dptn_cli.io.paths import without_image_suffix

ID_DIGITS = 12  # COCO's image 139 is named 000000000139.jpg

# Anything that normalising would change. Most names have none of it.
_UNUSUAL = re.compile(r"[\\:\x80-\U0010ffff]|//|^[\s/]|[\s/]$|(?:^|/)\.\.?(?:/|$)")
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")


def normalize_name(name: str) -> str:
    """Normalise an image's name, so that all spellings of it are equal.

    Backslashes become slashes. A drive, a slash at the beginning, `.` and everything up to a `..`
    are removed. Unicode is composed (NFC), because macOS writes names decomposed.

    Args:
        name: a name as a pose file or a list has it.

    Returns:
        A relative name with forward slashes; empty if the name has no parts.
    """
    if not _UNUSUAL.search(name):
        return name
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    plain = _DRIVE.sub("", name.strip().replace("\\", "/"), count=1)
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    return "/".join(parts)


def name_of_number(number: int) -> str:
    """Return the name of an image that a file identifies by number, as COCO names its images."""
    return f"{number:0{ID_DIGITS}}"


class NameIndex:
    """Finds the entry of a pose file that most likely belongs to an image of another name.

    Names are candidates if they differ in folders or suffix alone. A number is a candidate for
    images whose name is that number, with any zeros in front.

    Args:
        names: the names in the pose file, normalized.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = {}
        self._by_number: dict[int, list[str]] = {}
        for name in names:
            stem = _stem(name)
            self._by_stem.setdefault(stem, []).append(name)
            if len(name) == ID_DIGITS and _is_number(name):
                self._by_number.setdefault(int(name), []).append(name)

    def find(self, name: str) -> list[str]:
        """Return the best candidates for an image: one if the match is unique, else more or none.

        Names with the most folders in common, counted from the end, are better. Among these,
        names with the image's own suffix are.

        Args:
            name: the image's name, normalized.
        """
        stem = _stem(name)
        candidates = self._by_stem.get(stem, [])
        if not candidates and _is_number(stem) and len(stem) <= ID_DIGITS:
            candidates = self._by_number.get(int(stem), [])
        if len(candidates) < 2:
            return candidates
        scores = [_likeness(name, candidate) for candidate in candidates]
        best = max(scores)
        return [c for c, score in zip(candidates, scores, strict=True) if score == best]


def _stem(name: str) -> str:
    return without_image_suffix(name.rpartition("/")[2])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _likeness(name: str, other: str) -> tuple[int, bool]:
    """Return how many folders at the end two names share, and whether the file names are equal."""
    first, second = PurePosixPath(name), PurePosixPath(other)
    shared = 0
    for mine, others in zip(first.parts[-2::-1], second.parts[-2::-1], strict=False):
        if mine != others:
            break
        shared += 1
    return shared, first.name == second.name
