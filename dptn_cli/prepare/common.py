"""Shared by both kinds of preparation: their result, and copying files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dptn_cli.errors import user_errors
from dptn_cli.io.files import write_file

PHASES = ("train", "test")


@dataclass(frozen=True)
class PrepareResult:
    """The outcome of a preparation.

    Attributes:
        counts: numbers to show, by label, in the order to show them.
        problems: one line for each file that is missing or could not be used.
        ready: whether everything that `dptn train` needs is there.
    """

    counts: Mapping[str, int]
    problems: Sequence[str]
    ready: bool


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
