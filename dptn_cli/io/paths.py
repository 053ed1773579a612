"""Names and locations: what a user or a file of theirs may call a file, and where that is.

A location is a local `pathlib.Path`, or a `UPath` of universal_pathlib for what lies behind a URL.
A `UPath` has pathlib's interface, so both are joined, named and compared alike, and both are
typed as `Path`. The type decides how a location is read, written and listed: see `storage`.
"""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from dptn_cli.errors import InputError, MissingDependency

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
IMAGE_SUFFIXES = HEIC_SUFFIXES | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
}  # fmt: skip
# What operating systems, archives and storage boxes leave in folders of images, in lower case.
_SYSTEM_NAMES = frozenset(
    {
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found",
        "system volume information", "#recycle", "#snapshot", "@eadir", "@recycle", "@tmp",
        "@__thumb",
    }
)  # fmt: skip
MAX_PART_BYTES = 255  # of one file's or folder's name, in the usual file systems
MAX_NAME_BYTES = 2048  # half of Linux's limit for a path, to leave room for the folder

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Matches nearly all names. The full check, for the rest, takes ten times as long.
_PLAIN_NAME = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*")


def parse_location(text: str) -> Path:
    """Read a location as the user writes it: a path, or a URL such as `s3://bucket/folder`.

    Returns:
        A `Path`; for a URL a `UPath`, with the package of its protocol imported.

    Raises:
        InputError: the text is empty, or fsspec does not know or cannot use the URL.
        MissingDependency: a package that the URL needs is not installed.
    """
    if not text:  # pathlib would take it for the current folder
        raise InputError("a path is empty: is a variable in the command unset?")
    if not is_url(text):
        return Path(text)
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingDependency(
            text, "universal-pathlib", "pip install 'dptn-cli[remote]'"
        ) from error
    try:
        location: Any = UPath(text).resolve()
        _ = location.fs  # imports the protocol's own package
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or "a package of its own"
        raise MissingDependency(text, package, f"pip install {package}") from error
    except Exception as error:  # Stores raise anything, for example for want of credentials.
        cause = error.__cause__ if str(error) == text and error.__cause__ else error
        raise InputError(f"{text}: {str(cause) or type(cause).__name__}") from error
    path: Path = location
    return path


def is_url(text: str) -> bool:
    """Return whether a location is a URL. `C:/` is not: a protocol has two letters or more."""
    return _URL.match(text) is not None


def checked_name(name: str) -> str:
    """Normalise a relative name, and make sure that it cannot leave the folder it is joined to.

    Symbolic links are not followed here: see `Storage.join_inside`.

    Args:
        name: relative name as a list, a pose file or a user gives it.

    Returns:
        The name with forward slashes and without redundant parts.

    Raises:
        InputError: the name is empty, absolute, has a drive, a `..` or a control character, or
            is too long for a file system.
    """
    if _PLAIN_NAME.fullmatch(name):
        check_name_length(name)
        return name
    plain = name.strip().replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or any(ord(char) < 32 for char in plain):
        raise InputError(f"{name!r} is not a file name")
    if ".." in parts:
        raise InputError(f"{name!r} leaves its folder: only names inside it are allowed")
    if plain.startswith("/") or _has_drive(plain):
        raise InputError(f"{name!r} is absolute: only names inside its folder are allowed")
    cleaned = "/".join(parts)
    check_name_length(cleaned)
    return cleaned


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by a system, by its own name.

    Such files are ignored in every folder that is searched, but used if the user names them.
    """
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _has_drive(name: str) -> bool:
    """Return whether a name has a drive. Outside Windows, `a:b.jpg` is the name of a file."""
    path = PureWindowsPath(name)
    return bool(path.drive) and (os.name == "nt" or path.is_absolute())


def check_name_length(name: str) -> None:
    """Make sure that a file system can hold a relative name.

    Raises:
        InputError: one part of the name or the whole is too long, or it cannot be encoded.
    """
    if len(name) <= MAX_PART_BYTES and name.isascii():  # most names, in one comparison
        return
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise InputError(f"{name!r} is not a file name") from error
    longest = max(map(len, encoded.split(b"/")))
    if longest > MAX_PART_BYTES or len(encoded) > MAX_NAME_BYTES:
        raise InputError(
            f"{name[:40]!r}... is too long for a file name: {longest} bytes between slashes, "
            f"{len(encoded)} in all; the limits are {MAX_PART_BYTES} and {MAX_NAME_BYTES}"
        )


def without_image_suffix(name: str) -> str:
    """Remove an image's suffix: `sub/a.jpg` -> `sub/a`. Other names are returned unchanged."""
    path = PurePosixPath(name)
    is_image = path.suffix.lower() in IMAGE_SUFFIXES
    return path.with_suffix("").as_posix() if is_image else name
