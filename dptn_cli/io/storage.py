"""One way to read, write and list files, on a disk and behind URLs.

`storage_of` chooses the storage by the path's type, which `parse_location` has decided: a `Path`
belongs to `LocalStorage`, a `UPath` to `FsspecStorage`.
"""

import glob
import io
import os
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Protocol, TypeVar

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.paths import is_hidden
from dptn_cli.io.results_folder import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, is_temporary

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")


class StoreError(OSError):
    """A remote store refused or could not be reached. A missing file is a `FileNotFoundError`."""


class FolderIndex(Protocol):
    """Which files a folder has."""

    def has(self, name: str) -> bool:
        """Return whether a file is there.

        Args:
            name: relative to the folder, with forward slashes.

        Raises:
            InputError: the name leaves the folder.
            OSError: the storage does not answer.
        """
        ...


class Storage(Protocol):
    """Reads, writes and lists the files of one kind of location.

    Every method raises an `OSError` with a reason if the disk or the store refuses.
    """

    is_remote: ClassVar[bool]
    """Whether locations are URLs. Each access is then assumed to wait for a network."""
    can_append: ClassVar[bool]
    """Whether a file can be appended to and locked."""

    def read_bytes(self, path: Path, limit: int | None = None) -> bytes:
        """Read a file, or only its first `limit` bytes."""
        ...

    def open_bytes(self, path: Path) -> BinaryIO:
        """Open a file for reading. It stays readable if the store fails later."""
        ...

    def parse_header(self, path: Path, parse: Callable[[BinaryIO], T]) -> T:
        """Run a parser that needs only the beginning of a file, and read little more."""
        ...

    def is_file(self, path: Path) -> bool:
        """Return whether a file is there."""
        ...

    def is_dir(self, path: Path) -> bool:
        """Return whether a folder is there; in an object store, whether it holds a file."""
        ...

    def list_files(
        self,
        folder: Path,
        *,
        hidden: bool = False,
        on_unreadable: Callable[[str, OSError], object] = lambda name, error: None,
    ) -> Iterator[str]:
        """Yield the names of all files in a folder and below it, with forward slashes.

        The order is arbitrary. A folder that does not exist holds no files. Links to files and
        folders are followed, because the user put them there; no folder is listed twice.

        Args:
            folder: a folder that the user named, so that its own name may be a hidden one.
            hidden: whether to list hidden files and folders as well: see `paths.is_hidden`.
            on_unreadable: is called with the name of each link that leads nowhere and of each
                folder that cannot be read, and the reason.
        """
        ...

    def index(self, folder: Path) -> FolderIndex:
        """Return an object that tells which files a folder has. Links are followed.

        Args:
            folder: a resolved path.
        """
        ...

    def expand(self, path: Path) -> list[Path]:
        """Return the paths that a pattern matches; the path itself if it is not a pattern."""
        ...

    def relative_name(self, folder: Path, path: Path) -> str | None:
        """Return the name of a resolved path in a resolved folder, or None if it is outside."""
        ...

    def join(self, folder: Path, name: str) -> Path:
        """Return the path of a checked name in a folder, to read from: links are not checked."""
        ...

    def join_inside(self, folder: Path, name: str) -> Path:
        """Return the path of a name in a folder to write to: no link leads out of it.

        Args:
            folder: a resolved path.
            name: as `paths.checked_name` returns it.

        Raises:
            InputError: the name or a link leads out of the folder.
        """
        ...

    def name_key(self, folder: Path) -> Callable[[str], str]:
        """Return a function of a name in a folder: two names with the same value are one file.

        Args:
            folder: the folder; it need not exist.
        """
        ...

    def make_dir(self, folder: Path) -> None:
        """Create a folder and its parents, if the storage has folders of its own."""
        ...

    def check_writable(self, folder: Path) -> None:
        """Make sure that files could be written to a folder, and leave nothing behind.

        Raises:
            InputError: the folder or a parent of it is a file or cannot be written to.
        """
        ...

    def write_atomic(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Write a file so that readers see the old content, if any, or all of the new.

        Args:
            path: the final name, in a folder that exists.
            write: is called once with a binary file to write to.
        """
        ...

    def upload(self, path: Path, local: Path) -> None:
        """Write the content of a local file, as `write_atomic` does."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        ...

    def remove_temporary_files(self, folder: Path) -> None:
        """Remove what a killed process left half written. Call this only while holding the lock."""
        ...


class LocalStorage:
    """Files of the operating system."""

    is_remote: ClassVar[bool] = False
    can_append: ClassVar[bool] = True

    def read_bytes(self, path: Path, limit: int | None = None) -> bytes:
        """See `Storage.read_bytes`."""
        with path.open("rb") as file:
            return file.read(-1 if limit is None else limit)

    def open_bytes(self, path: Path) -> BinaryIO:
        """See `Storage.open_bytes`."""
        return path.open("rb")

    def parse_header(self, path: Path, parse: Callable[[BinaryIO], T]) -> T:
        """See `Storage.parse_header`."""
        with path.open("rb") as file:
            return parse(file)

    def is_file(self, path: Path) -> bool:
        """See `Storage.is_file`."""
        return path.is_file()

    def is_dir(self, path: Path) -> bool:
        """See `Storage.is_dir`."""
        return path.is_dir()

    def list_files(
        self,
        folder: Path,
        *,
        hidden: bool = False,
        on_unreadable: Callable[[str, OSError], object] = lambda name, error: None,
    ) -> Iterator[str]:
        """See `Storage.list_files`."""
        walk = _Walk(hidden, on_unreadable, folders=[(os.fspath(folder), "")])
        return walk.files()

    def index(self, folder: Path) -> FolderIndex:
        """See `Storage.index`."""
        return _LocalIndex(folder)

    def expand(self, path: Path) -> list[Path]:
        """See `Storage.expand`. Patterns are `*`, `**`, `?` and `[…]`."""
        if path.exists() or not glob.has_magic(str(path)):
            return [path]
        return [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]

    def relative_name(self, folder: Path, path: Path) -> str | None:
        """See `Storage.relative_name`."""
        if not isinstance(path, Path) or not path.is_relative_to(folder):
            return None
        return path.relative_to(folder).as_posix()

    def join(self, folder: Path, name: str) -> Path:
        """See `Storage.join`."""
        return folder / name

    def join_inside(self, folder: Path, name: str) -> Path:
        """See `Storage.join_inside`."""
        path = folder / name
        check_links(str(path), name, str(folder))
        return path

    def name_key(self, folder: Path) -> Callable[[str], str]:
        """See `Storage.name_key`. The disk is asked, by a temporary file."""
        return fold_name if _ignores_case(_existing_parent(folder)) else str

    def make_dir(self, folder: Path) -> None:
        """See `Storage.make_dir`."""
        folder.mkdir(parents=True, exist_ok=True)

    def check_writable(self, folder: Path) -> None:
        """See `Storage.check_writable`."""
        parent = _existing_parent(folder)
        if not parent.is_dir():
            raise InputError(f"{folder}: cannot be written, because {parent} is a file")
        with (
            user_errors(folder, f"{parent} cannot be written to"),
            tempfile.TemporaryFile(dir=parent),
        ):
            pass

    def write_atomic(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """See `Storage.write_atomic`."""
        handle, temporary = tempfile.mkstemp(TEMPORARY_SUFFIX, TEMPORARY_PREFIX, path.parent)
        raw = _FileThatKeepsErrors(handle, "wb")
        try:
            with io.BufferedWriter(raw) as file:
                write(file)
            os.chmod(temporary, 0o666 & ~_UMASK)
            os.replace(temporary, path)
        except BaseException as error:
            with suppress(OSError):  # its folder may be gone, or the disk read-only
                os.unlink(temporary)
            if raw.error is not None and isinstance(error, Exception):
                raise raw.error from error
            raise

    def upload(self, path: Path, local: Path) -> None:
        """See `Storage.upload`."""
        self.write_atomic(path, lambda file: file.write(local.read_bytes()))

    def remove(self, path: Path) -> None:
        """See `Storage.remove`."""
        path.unlink(missing_ok=True)

    def remove_temporary_files(self, folder: Path) -> None:
        """See `Storage.remove_temporary_files`."""
        for parent, _, names in os.walk(folder):
            for name in names:
                if is_temporary(name):
                    (Path(parent) / name).unlink(missing_ok=True)


class _FileThatKeepsErrors(io.FileIO):
    """A file that keeps the disk's first refusal.

    Libraries replace it: torch.save raises a `RuntimeError` about positions in its archive.

    Attributes:
        error: the refusal; None if there was none.
    """

    error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            raise


class _LocalIndex:
    """Asks the disk about each name, which is fast."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        return os.path.isfile(self._folder / name)


@dataclass
class _Walk:
    """A walk through a folder, where links may lead anywhere, and in circles.

    Attributes:
        hidden: whether hidden files and folders count.
        on_unreadable: see `Storage.list_files`.
        folders: folders still to list, each with the beginning of the names in it.
        links: links to folders. They come last, in order, so that files that are also reached
            without a link have the same name in every walk.
    """

    hidden: bool
    on_unreadable: Callable[[str, OSError], object]
    folders: list[tuple[str, str]]
    links: list[tuple[str, str]] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def files(self) -> Iterator[str]:
        while self.folders or self.links:
            path, start = self.folders.pop() if self.folders else heappop(self.links)
            try:
                status = os.stat(path)
                if (status.st_dev, status.st_ino) in self._seen:
                    continue
                self._seen.add((status.st_dev, status.st_ino))
                with os.scandir(path) as entries:
                    yield from self._files_among(entries, start)
            except OSError as error:
                if start:
                    self.on_unreadable(start.rstrip("/"), error)
                elif not isinstance(error, FileNotFoundError):
                    raise

    def _files_among(self, entries: Iterator[os.DirEntry[str]], start: str) -> Iterator[str]:
        for entry in entries:
            name = start + entry.name
            if not self.hidden and is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                self.folders.append((entry.path, f"{name}/"))
            elif not entry.is_symlink():
                if entry.is_file():
                    yield name
            else:
                try:
                    mode = os.stat(entry.path).st_mode
                except OSError as error:  # it leads nowhere, or in circles
                    self.on_unreadable(name, error)
                    continue
                if stat.S_ISDIR(mode):
                    heappush(self.links, (entry.path, f"{name}/"))
                elif stat.S_ISREG(mode):
                    yield name


def fold_name(name: str) -> str:
    """Return what the spellings of a name share where the disk ignores case and normal forms."""
    return unicodedata.normalize("NFC", name).casefold()


def _existing_parent(folder: Path) -> Path:
    """Return the folder, or the first of its parents that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _ignores_case(folder: Path) -> bool:
    """Return whether `a` and `A` are the same file in a folder; no if nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(
            prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=folder
        ) as file:
            path = Path(file.name)
            return path.with_name(path.name.upper()).exists()
    except OSError:
        return False


def check_links(path: str, name: str, folder: str) -> None:
    """Make sure that a path stays in a folder after every link is followed.

    Args:
        path: the path to follow.
        name: the path's name in the folder, for the message.
        folder: the resolved folder.

    Raises:
        InputError: a link leads out of the folder, or in circles.
    """
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r}: {error}") from error
    if os.path.commonpath([real, folder]) != folder:
        raise InputError(f"{name!r} leads out of {folder} through a link")


LOCAL = LocalStorage()


def storage_of(path: Path) -> Storage:
    """Return the storage that a location belongs to."""
    if isinstance(path, Path):
        return LOCAL
    from dptn_cli.io.fsspec_storage import FSSPEC

    return FSSPEC


# Read once: the umask can only be read by setting it, which other threads would see.
_UMASK = os.umask(0o022)
os.umask(_UMASK)
