"""Names from strangers, and files that are never seen half written."""

import io
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from dptn_cli.errors import InputError
from dptn_cli.io.paths import LOCAL_PROTOCOLS, is_remote, name_in_store, protocol_of
from dptn_cli.io.storage import TEMPORARY_PREFIX, drop_temporary, put_bytes

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm"}
)
# What nearly all names are; the rest is looked at in full, which takes ten times as long.
_PLAIN_NAME = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*")
MANIFEST_NAME = "manifest.jsonl"  # tells a folder of results
GRIDS_FOLDER = "grids"  # in it, of contact sheets, which are overwritten and removed
_CONTACT_SHEET = re.compile(rf"{GRIDS_FOLDER}/page-\d+\.png", re.IGNORECASE)
MAX_PART_BYTES = 255  # of a file's or folder's name, in the usual file systems
MAX_NAME_BYTES = 2048  # half of what Linux takes as a path: the folder needs some


def checked_name(name: str) -> str:
    """A relative name with forward slashes that cannot leave the folder it is joined to.

    Links are another matter: see `safe_join`.

    Raises:
        InputError: an absolute path, a drive, a `..`, characters that no file name has, or more
            of them than a file system takes.
    """
    if _PLAIN_NAME.fullmatch(name):
        check_length(name)
        return name
    plain = name.strip().replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or any(ord(char) < 32 for char in plain):
        raise InputError(f"{name!r} is not a file name")
    if plain.startswith("/") or ".." in parts or PureWindowsPath(plain).drive:
        raise InputError(f"{name!r} leaves its folder: only names inside it are allowed")
    cleaned = "/".join(parts)
    check_length(cleaned)
    return cleaned


def is_contact_sheet(name: str) -> bool:
    """Whether a name in a folder of results is a contact sheet's."""
    return _CONTACT_SHEET.fullmatch(name) is not None


def check_length(name: str) -> None:
    """Make sure that a file system can hold a name, which costs most names one comparison.

    Raises:
        InputError: a part of it, or the whole, is too long, or it cannot be encoded.
    """
    if len(name) <= MAX_PART_BYTES and name.isascii():
        return
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise InputError(f"{name!r} is not a file name") from error
    longest = max(map(len, encoded.split(b"/")))
    if longest > MAX_PART_BYTES or len(encoded) > MAX_NAME_BYTES:
        raise InputError(
            f"{name[:40]!r}... is too long for a file name: {longest} bytes between slashes, "
            f"{len(encoded)} in all, where {MAX_PART_BYTES} and {MAX_NAME_BYTES} are allowed"
        )


def without_image_suffix(name: str) -> str:
    """`sub/a.jpg` -> `sub/a`; a name with another suffix, or none, stays as it is."""
    path = PurePosixPath(name)
    known = path.suffix.lower() in IMAGE_SUFFIXES
    return path.with_suffix("").as_posix() if known else name


def safe_join(folder: Path, name: str) -> Path:
    """`folder / name`, proven to stay in `folder` after every link is followed.

    Args:
        folder: must be resolved already (`Path.resolve`).
        name: as `checked_name` gives it.

    Raises:
        InputError: a link leads out of the folder, or in circles.
    """
    if is_remote(folder):
        return _inside_remote(folder, name)
    path = folder / name
    _follow_links(str(path), name, str(folder))
    return path


def _follow_links(path: str, name: str, folder: str) -> None:
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r}: {error}") from error
    if os.path.commonpath([real, folder]) != folder:
        raise InputError(f"{name!r} leads out of {folder} through a link")


def _inside_remote(folder: Path, name: str) -> Path:
    """Object stores have no links; those of a server (`sftp://`) are the server's to refuse."""
    try:
        path = folder / checked_name(name)
        stays = name_in_store(path) == f"{name_in_store(folder)}/{name}"
    except ValueError:  # A name that is the URL of another store.
        stays = False
    if not stays:
        raise InputError(f"{name!r} leaves its folder: only names inside it are allowed")
    if protocol_of(folder) in LOCAL_PROTOCOLS:
        _follow_links(name_in_store(path), name, os.path.realpath(name_in_store(folder)))
    return path


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside `path`, then move it there.

    Whoever looks at `path` sees the old file, the whole new one, or none.

    Args:
        path: the final name; its folder must exist, but for what is remote.
        write: is given the open temporary file; of what is remote, memory.

    Raises:
        OSError: the disk is full, the folder cannot be written; nothing is left behind.
    """
    if is_remote(path):
        content = io.BytesIO()
        write(content)
        put_bytes(path, content.getvalue())
        return
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def drop_temporary_files(folder: Path) -> None:
    """Remove what a killed process was writing; only for the holder of the folder's lock."""
    if is_remote(folder):
        drop_temporary(folder)
        return
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.startswith(TEMPORARY_PREFIX):
                (Path(parent) / name).unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; what is remote makes its own, for what is put there.

    Raises:
        InputError: it cannot be made.
    """
    if is_remote(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror}") from error


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Make a file's folder and write it as `write_atomic` does, for whom a line is enough.

    Raises:
        InputError: it cannot be written; a full disk, for instance.
    """
    make_folder(path.parent)
    try:
        write_atomic(path, write)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _umask() -> int:
    """The process's umask, read once: reading it means setting it, which threads would see."""
    return _UMASK


_UMASK = os.umask(0o022)
os.umask(_UMASK)
