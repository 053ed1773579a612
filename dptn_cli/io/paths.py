"""Where files are: a local `Path`, or what lies behind a URL that fsspec reads.

A location at a URL is a `UPath` of universal_pathlib, which has `pathlib`'s interface: it is
joined, named and compared as a path is. Its type is given as `Path`, so that a module needs to
know of URLs only where it reads, writes or lists; `is_remote` tells them apart there, and
`stores` has what is done differently.
"""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from dptn_cli.errors import InputError, MissingDependency

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
LOCAL_PROTOCOLS = ("file", "local")


def parse_location(text: str) -> Path:
    """A location as the user writes it: a file name, or a URL such as `s3://bucket/folder`.

    Raises:
        InputError: an empty name, or a URL that fsspec does not know or cannot use.
        MissingDependency: a package for it is not installed.
    """
    if not text:  # which pathlib takes for the current folder
        raise InputError("an option names nothing: is a variable of the command empty?")
    if not _URL.match(text):
        return Path(text)
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingDependency(
            text, "universal-pathlib", "pip install 'dptn-cli[remote]'"
        ) from error
    try:
        located: Any = UPath(text).resolve()
        _ = located.fs  # Only now is the protocol's own package imported.
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or "a package of its own"
        raise MissingDependency(text, package, f"pip install {package}") from error
    except Exception as error:  # Stores raise what they like, for want of a password for instance.
        told = error.__cause__ if str(error) == text and error.__cause__ else error
        raise InputError(f"{text}: {str(told) or type(told).__name__}") from error
    path: Path = located
    return path


def is_remote(path: Path) -> bool:
    """Whether a location is behind a URL."""
    return not isinstance(path, Path)


def protocol_of(path: Path) -> str:
    """Of a remote location, as in its URL."""
    remote: Any = path
    return str(remote.protocol)


def name_in_store(path: Path) -> str:
    """What a remote location is called by its file system, without a slash at the end."""
    remote: Any = path
    return str(remote.path).rstrip("/")


def digest_of(path: Path) -> str:
    """Names a remote location in 32 digits, the same in every process."""
    remote: Any = path
    parts = [protocol_of(path), name_in_store(path), dict(remote.storage_options)]
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def name_below(folder: Path, path: Path) -> str | None:
    """The name that a remote location has in a remote folder; None where it is not in it."""
    if not is_remote(path) or protocol_of(path) != protocol_of(folder):
        return None
    start, name = f"{name_in_store(folder)}/", name_in_store(path)
    return name[len(start) :] if name.startswith(start) else None
