"""Files of a preparation: written whole, with errors that name the file."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from dptn_cli.errors import InputError
from dptn_cli.files import make_folder, write_atomic


def copy_file(source: Path, copy: Path) -> None:
    """Copy a file; a copy that is equal already stays as it is.

    Raises:
        InputError: the one cannot be read, or the other not be written.
    """
    try:
        content = source.read_bytes()
        same = copy.is_file() and copy.read_bytes() == content
    except OSError as error:
        raise InputError(f"{error.filename or source}: {error.strerror}") from error
    if not same:
        write_file(copy, lambda file: file.write(content))


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that is never seen half written, and make its folder.

    Raises:
        InputError: it cannot be written; a full disk, for instance.
    """
    make_folder(path.parent)
    try:
        write_atomic(path, write)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
