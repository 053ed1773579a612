"""Pictures by folder and name, and finding them where the user points."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dptn_cli.errors import InputError
from dptn_cli.files import PICTURE_SUFFIXES, inside


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


def find_pictures(paths: Iterable[Path], besides: Path | None = None) -> Iterator[Picture]:
    """The pictures among files and, recursively, in folders.

    Args:
        paths: files, folders, and patterns (`*`, `**`, `?`, `[…]`) that the shell left alone.
        besides: a folder of results, whose pictures do not count.

    Raises:
        InputError: there is no such file or folder, or a pattern matches none.
    """
    results = besides.resolve() if besides else None
    for path in _expanded(paths):
        if path.is_dir():
            folder = path.resolve()
            for found in sorted(folder.rglob("*")):
                wanted = found.suffix.lower() in PICTURE_SUFFIXES and found.is_file()
                if wanted and not (results and found.is_relative_to(results)):
                    yield Picture(folder, found.relative_to(folder).as_posix())
        elif path.is_file():
            yield Picture(path.parent.resolve(), path.name)
        else:
            raise InputError(f"{path}: no such file or folder")


def _expanded(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths, with what matches a pattern in its place."""
    for path in paths:
        if path.exists() or not glob.has_magic(str(path)):
            yield path
            continue
        found = sorted(glob.glob(str(path), recursive=True))
        if not found:
            raise InputError(f"{path}: nothing matches this pattern")
        yield from (Path(one) for one in found if _counts(Path(one)))


def _counts(path: Path) -> bool:
    """Whether something that a pattern matched is meant: a picture or a folder."""
    return path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES
