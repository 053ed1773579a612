"""Files of a preparation: written whole, with errors that name the file."""

from pathlib import Path

from dptn_cli.errors import InputError
from dptn_cli.io.files import write_file


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
