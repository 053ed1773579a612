"""Shared by both kinds of preparation: their result, and copying files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dptn_cli.errors import user_errors
from dptn_cli.io.files import write_file

PHASES = ("train", "test")
MAX_NAMES = 5


@dataclass(frozen=True)
class PrepareResult:
    """The outcome of a preparation.

    Attributes:
        counts: numbers to show, by label, in the order to show them.
        problems: one line for each file that is missing or could not be used.
        ready: whether everything that `dptn train` needs is there.
        notes: one line for each thing that was passed over and is no problem.
    """

    counts: Mapping[str, int]
    problems: Sequence[str]
    ready: bool
    notes: Sequence[str] = ()


def count_names(names: Sequence[str], singular: str, plural: str) -> list[str]:
    """Count images in one line, and name the first of them; no line if there are none.

    Args:
        names: names of images.
        singular: what is said of one image, such as "image is missing".
        plural: what is said of several.
    """
    if not names:
        return []
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    what = singular if len(names) == 1 else plural
    return [f"{len(names):,} {what}: {', '.join(names[:MAX_NAMES])}{more}"]


def copy_file(source: Path, copy: Path) -> None:
    """Copy a file, unless the copy already has the same content.

    Raises:
        InputError: the source cannot be read, or the copy cannot be written.
    """
    with user_errors(source):
        content = source.read_bytes()
    with user_errors(copy):
        if copy.is_file() and copy.read_bytes() == content:
            return
    write_file(copy, lambda file: file.write(content))
