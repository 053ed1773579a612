"""Pictures by folder and name, and finding them where the user points."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dptn_cli.errors import InputError
from dptn_cli.files import MANIFEST_NAME, PICTURE_SUFFIXES, inside
from dptn_cli.inventory import Inventory
from dptn_cli.locations import is_remote, name_below
from dptn_cli.stores import is_file, is_folder, names_in


@dataclass(frozen=True)
class Picture:
    """A picture by the folder it belongs to and its name in it, forward slashes."""

    folder: Path
    name: str

    def __hash__(self) -> int:
        return hash(self.name)  # Paths are slow to hash, and most pictures share their folder.

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self.folder, self.name

    @property
    def path(self) -> Path:
        """Where it is, proven to be inside its folder."""
        return inside(self.folder, self.name)

    @property
    def place(self) -> Path:
        """Likewise, where that has been proven before: again only where it costs little."""
        return self.path if is_remote(self.folder) else self.folder / self.name


class Present:
    """Which pictures are there: on a disk looked up, in a remote folder by its inventory."""

    def __init__(self) -> None:
        self._remote: dict[Path, Inventory] = {}

    def has(self, picture: Picture) -> bool:
        """Whether a picture is there.

        Raises:
            InputError: a link leads out of its folder, or a store does not tell.
        """
        folder = picture.folder
        if not is_remote(folder):
            return os.path.isfile(picture.path)
        if folder not in self._remote:
            self._remote[folder] = Inventory(folder)
        try:
            return self._remote[folder].has(picture.name)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}") from error


def looked_at(question: Callable[[Path], bool], path: Path) -> bool:
    """Ask `stores.is_file` or the like; InputError where a store does not tell."""
    try:
        return question(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def find_pictures(paths: Iterable[Path], besides: Path | None = None) -> Iterator[Picture]:
    """The pictures among files and, recursively, in folders.

    Args:
        paths: files, folders, and patterns (`*`, `**`, `?`, `[…]`) that the shell left alone.
        besides: a folder of results, whose pictures do not count; nor do those of other results
            below a folder, known by their manifest.

    Raises:
        InputError: there is no such file or folder, a store does not tell, or a pattern matches
            none.
    """
    results = besides.resolve() if besides else None
    for path in _expanded(paths):
        try:
            if is_folder(path):
                inner = _remote_pictures if is_remote(path) else _local_pictures
                yield from inner(path.resolve(), results)
            elif is_file(path):
                yield Picture(path.parent.resolve(), path.name)
            else:
                raise InputError(f"{path}: no such file or folder")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error


def _local_pictures(folder: Path, results: Path | None) -> Iterator[Picture]:
    found = sorted(folder.rglob("*"))
    made = {path.parent for path in found if path.name == MANIFEST_NAME} - {folder}
    if results and not is_remote(results):
        made.add(results)
    for path in found:
        wanted = path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
        if wanted and not made.intersection(path.parents):
            yield Picture(folder, path.relative_to(folder).as_posix())


def _remote_pictures(folder: Path, results: Path | None) -> Iterator[Picture]:
    own = name_below(folder, results) if results else None
    for name in sorted(names_in(folder)):
        wanted = PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES
        if wanted and not (own and name.startswith(f"{own}/")):
            yield Picture(folder, name)


def _expanded(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths, with what matches a pattern in its place."""
    for path in paths:
        if is_remote(path) or path.exists() or not glob.has_magic(str(path)):
            yield path
            continue
        found = sorted(glob.glob(str(path), recursive=True))
        if not found:
            raise InputError(f"{path}: nothing matches this pattern")
        yield from (Path(one) for one in found if _counts(Path(one)))


def _counts(path: Path) -> bool:
    """Whether something that a pattern matched is meant: a picture or a folder."""
    return path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES
