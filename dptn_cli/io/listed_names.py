"""From the names of images in a list, which may be absolute, to their names in the folder."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from dptn_cli.errors import InputError
from dptn_cli.io.paths import checked_name, is_url, parse_location
from dptn_cli.io.storage import storage_of

# Absolute, in a home folder, with a drive, or a URL. Most names are none of these.
_PERHAPS_ABSOLUTE = re.compile(r"\s*(?:[/\\~]|[A-Za-z][A-Za-z0-9+.-]*:)")
_FILE_URL = re.compile(r"file://(?:localhost)?(?=/)", re.IGNORECASE)


class ListedNames:
    """Turns the names in a list into names below the folder of images.

    Args:
        folder: the folder, as the user gives it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._spellings = [self._folder]
        if isinstance(folder, Path):
            self._spellings.append(Path(os.path.abspath(folder)))

    def name_below(self, listed: str) -> str:
        """Return the name below the folder, relative and with forward slashes.

        Args:
            listed: relative name, or an absolute name or a URL that is in the folder. `~` stands
                for the home folder.

        Raises:
            InputError: the name cannot be used, or is not in the folder.
        """
        if not _PERHAPS_ABSOLUTE.match(listed):
            return checked_name(listed)
        name = listed.strip()
        if any(ord(char) < 32 for char in name):
            return checked_name(name)  # which says what is wrong with it
        if _FILE_URL.match(name) and isinstance(self._folder, Path):
            from urllib.parse import unquote

            return self._from_absolute(unquote(_FILE_URL.sub("", name)))
        if is_url(name):
            return self._from_url(name)
        name = self._expand_home(name)
        if os.path.isabs(name):
            return self._from_absolute(name)
        if name.startswith("\\") or PureWindowsPath(name).is_absolute():
            raise InputError(
                f"{name} is an absolute Windows path; name images relative to the folder of images"
            )
        return checked_name(name)

    def _expand_home(self, name: str) -> str:
        is_home = name.startswith("~") and "/" in name
        if not is_home or os.path.lexists(os.path.join(str(self._folder), name)):
            return name
        return os.path.expanduser(name)

    def _from_absolute(self, name: str) -> str:
        if isinstance(self._folder, Path):
            for path in _spellings(name):
                for folder in self._spellings:
                    if path.is_relative_to(folder):
                        return checked_name(path.relative_to(folder).as_posix())
        raise self._outside(name)

    def _from_url(self, url: str) -> str:
        protocol = url.partition("://")[0].lower()
        if str(self._folder).startswith(f"{protocol}://"):
            name = storage_of(self._folder).relative_name(self._folder, parse_location(url))
            if name is not None:
                return checked_name(name)
        raise self._outside(url)

    def _outside(self, name: str) -> InputError:
        return InputError(
            f"{name} is not in the folder of images {self._folder}; name the folder with --images"
        )


def _spellings(name: str) -> Iterator[Path]:
    """Yield the path of an absolute name as it is written, and with the links in it followed."""
    path = Path(os.path.abspath(name))
    if ".." not in Path(name).parts:  # behind a link, `..` is not the folder that is written
        yield Path("/" + name.lstrip("/")) if name.startswith("//") else path
    parent, last = os.path.split(name)
    yield Path(os.path.realpath(parent), last)


def normal_forms(name: str) -> Iterator[str]:
    """Yield the other Unicode normal forms of a name.

    macOS and tools write `é` as one character or as two, and take both for the same name.
    """
    if name.isascii():
        return
    for form in (unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        if form != name:
            yield form
