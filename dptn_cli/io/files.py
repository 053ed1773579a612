"""Writing files: whole or not at all, with one line for the user if it fails."""

import os
from collections.abc import Callable
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import IO, Any, BinaryIO

from dptn_cli.errors import InputError, ModelError, user_errors
from dptn_cli.io.storage import storage_of


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that readers see the old content, if any, or all of the new.

    Args:
        path: the final name, in a folder that exists.
        write: is called once with a binary file to write to.

    Raises:
        OSError: the disk is full, the folder is read-only, …; nothing is left behind.
    """
    storage_of(path).write_atomic(path, write)


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Create a file's folder, and write the file as `write_atomic` does.

    Raises:
        InputError: the folder cannot be created or the file cannot be written.
    """
    make_folder(path.parent)
    with user_errors(path, "cannot be written"):
        write_atomic(path, write)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, where the storage has folders of their own.

    Raises:
        InputError: it cannot be created.
    """
    with user_errors(folder, "cannot be created"):
        storage_of(folder).make_dir(folder)


def join_inside(folder: Path, name: str) -> Path:
    """Return `folder / name`, proven to stay in the folder after every link is followed.

    Args:
        folder: a resolved path (`Path.resolve`).
        name: as `paths.checked_name` returns it.

    Raises:
        InputError: a link leads out of the folder, or in circles.
    """
    return storage_of(folder).join_inside(folder, name)


def file_sha256(path: Path, kind: type[InputError] | type[ModelError] = InputError) -> str:
    """Return the SHA-256 of a file's content, hexadecimal.

    Args:
        path: the file.
        kind: the error to raise.

    Raises:
        InputError: the file cannot be read; `kind` if that was given.
    """
    digest = sha256()
    with user_errors(path, kind=kind), storage_of(path).open_bytes(path) as file:
        while block := file.read(1 << 16):
            digest.update(block)
    return digest.hexdigest()


def is_at(path: Path, file: IO[Any] | FileIO) -> bool:
    """Return whether an open file still is what a path names, and was not removed or replaced.

    Raises:
        OSError: the disk does not answer.
    """
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except (FileNotFoundError, NotADirectoryError):
        return False
