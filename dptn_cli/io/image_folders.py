"""Images by folder and name, and finding them where the user points."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dptn_cli.errors import InputError
from dptn_cli.io.files import IMAGE_SUFFIXES, MANIFEST_NAME, safe_join
from dptn_cli.io.listing import Inventory
from dptn_cli.io.paths import is_remote, name_below
from dptn_cli.io.storage import is_file, is_folder, names_in


@dataclass(frozen=True)
class ImageFile:
    """An image by the folder it belongs to and its name in it, forward slashes."""

    folder: Path
    name: str

    def __hash__(self) -> int:
        return hash(self.name)  # Paths are slow to hash, and most images share their folder.

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self.folder, self.name

    @property
    def path(self) -> Path:
        """Where it is, proven to be inside its folder."""
        return safe_join(self.folder, self.name)

    @property
    def place(self) -> Path:
        """Likewise, where that has been proven before: again only where it costs little."""
        return self.path if is_remote(self.folder) else self.folder / self.name


class Present:
    """Which images are there: on a disk looked up, in a remote folder by its inventory."""

    def __init__(self) -> None:
        self._remote: dict[Path, Inventory] = {}

    def has(self, image: ImageFile) -> bool:
        """Whether an image is there.

        Raises:
            InputError: a link leads out of its folder, or a store does not tell.
        """
        folder = image.folder
        if not is_remote(folder):
            return os.path.isfile(image.path)
        if folder not in self._remote:
            self._remote[folder] = Inventory(folder)
        try:
            return self._remote[folder].has(image.name)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}") from error


def looked_at(question: Callable[[Path], bool], path: Path) -> bool:
    """Ask `stores.is_file` or the like; InputError where a store does not tell."""
    try:
        return question(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def find_images(paths: Iterable[Path], exclude: Path | None = None) -> Iterator[ImageFile]:
    """The images among files and, recursively, in folders.

    Args:
        paths: files, folders, and patterns (`*`, `**`, `?`, `[…]`) that the shell left alone.
        exclude: a folder of results, whose images do not count; nor do those of other results
            below a folder, known by their manifest.

    Raises:
        InputError: there is no such file or folder, a store does not tell, or a pattern matches
            none.
    """
    results = exclude.resolve() if exclude else None
    for path in _expanded(paths):
        try:
            if is_folder(path):
                inner = _remote_images if is_remote(path) else _local_images
                yield from inner(path.resolve(), results)
            elif is_file(path):
                yield ImageFile(path.parent.resolve(), path.name)
            else:
                raise InputError(f"{path}: no such file or folder")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error


def _local_images(folder: Path, results: Path | None) -> Iterator[ImageFile]:
    found = sorted(folder.rglob("*"))
    made = {path.parent for path in found if path.name == MANIFEST_NAME} - {folder}
    if results and not is_remote(results):
        made.add(results)
    for path in found:
        wanted = path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        if wanted and not made.intersection(path.parents):
            yield ImageFile(folder, path.relative_to(folder).as_posix())


def _remote_images(folder: Path, results: Path | None) -> Iterator[ImageFile]:
    own = name_below(folder, results) if results else None
    for name in sorted(names_in(folder)):
        wanted = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
        if wanted and not (own and name.startswith(f"{own}/")):
            yield ImageFile(folder, name)


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
    """Whether something that a pattern matched is meant: an image or a folder."""
    return path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
