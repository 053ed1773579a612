"""Images by folder and name, and finding them in what the user names."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.image_kinds import FileKind, file_kind
from dptn_cli.io.left_out import LeftOut
from dptn_cli.io.own_files import results_among
from dptn_cli.io.paths import IMAGE_SUFFIXES, is_hidden
from dptn_cli.io.storage import FolderIndex, storage_of


@dataclass(frozen=True)
class ImageFile:
    """An image, by the folder that it belongs to and its name there.

    Attributes:
        folder: resolved path of the folder.
        name: name in the folder, with forward slashes.
    """

    folder: Path
    name: str

    def __hash__(self) -> int:
        return hash(self.name)  # paths are slow to hash, and most images share their folder

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes the image from others."""
        return self.folder, self.name

    @property
    def path(self) -> Path:
        """The image's path. Links are followed: it is the user's own folder."""
        return storage_of(self.folder).join(self.folder, self.name)


class ImageIndex:
    """Which images exist, in any number of folders. Used from several threads."""

    def __init__(self) -> None:
        self._folders: dict[Path, FolderIndex] = {}

    def has(self, image: ImageFile) -> bool:
        """Return whether an image exists.

        Raises:
            InputError: its name leads out of its folder, or the storage does not answer.
        """
        folder = image.folder
        if folder not in self._folders:
            self._folders[folder] = storage_of(folder).index(folder)
        with user_errors(folder):
            return self._folders[folder].has(image.name)


def find_images(
    paths: Iterable[Path], exclude: Path | None = None, left_out: LeftOut | None = None
) -> Iterator[ImageFile]:
    """Find the images among files and, recursively, in folders.

    Args:
        paths: files, folders, and patterns (`*`, `**`, `?`, `[…]`) that the shell left alone.
        exclude: the folder that the run writes to, whose images do not count. Other results
            folders below a folder, which are known by their manifest, never count.
        left_out: receives what is passed over.

    Yields:
        The images, in the order of `paths`, and by name within a folder.

    Raises:
        InputError: a file or folder does not exist, the storage does not answer, or a pattern
            matches nothing.
    """
    excluded = exclude.resolve() if exclude else None
    left_out = LeftOut() if left_out is None else left_out
    for path in _expand(paths, left_out):
        storage = storage_of(path)
        with user_errors(path):
            is_dir = storage.is_dir(path)
            if not is_dir and not storage.is_file(path):
                raise InputError(f"{path}: no such file or folder")
        if is_dir:
            yield from _Search(path, excluded, left_out).images()
        else:
            yield ImageFile(path.parent.resolve(), path.name)


def no_images(paths: Iterable[Path], notes: Iterable[str], what: str = "images") -> InputError:
    """Return the error for a search that found nothing.

    Args:
        paths: what was searched.
        notes: what was passed over, one line each.
        what: what was searched for.
    """
    reason = "; ".join(notes)
    names = ", ".join(map(str, paths))
    return InputError(f"no {what} in {names}" + (f": {reason}" if reason else ""))


def _expand(paths: Iterable[Path], left_out: LeftOut) -> Iterator[Path]:
    """Replace patterns by the images and folders that they match."""
    for path in paths:
        matches = storage_of(path).expand(path)
        if not matches:
            raise InputError(f"{path}: nothing matches this pattern")
        if matches == [path]:
            yield path
            continue
        for match in matches:
            if any(is_hidden(part) for part in set(match.parts) - set(path.parts)):
                continue
            if not match.exists():
                left_out.add_unreadable(match.name, FileNotFoundError())
            elif match.is_dir() or (
                match.is_file() and _is_image(match.parent, match.name, left_out)
            ):
                yield match


@dataclass(frozen=True)
class _Search:
    """A search through one folder.

    Attributes:
        path: the folder as the user names it.
        excluded: resolved path of the folder that the run writes to, or None.
        left_out: receives what is passed over.
    """

    path: Path
    excluded: Path | None
    left_out: LeftOut

    def images(self) -> Iterator[ImageFile]:
        """Yield the images, by name."""
        folder = self.path.resolve()
        storage = storage_of(folder)
        with user_errors(folder):
            listing = storage.list_files(folder, on_unreadable=self.left_out.add_unreadable)
            names = sorted(map(PurePosixPath, listing))
            results = self._results_among(names)
        for name in names:
            tops = [top for top in name.parents if top in results] if results else []
            if not tops:
                if _is_image(folder, name.as_posix(), self.left_out):
                    yield ImageFile(folder, name.as_posix())
            elif name.suffix.lower() in IMAGE_SUFFIXES:
                counter, shown = results[tops[0]]
                counter[shown] += 1

    def _results_among(
        self, names: list[PurePosixPath]
    ) -> dict[PurePosixPath, tuple[Counter[Path], Path]]:
        """Return the results folders in the folder, each with where its images are counted."""
        results = {
            top: (self.left_out.results, self.path / top.as_posix())
            for top in results_among(self.path, names)
        }
        if self.excluded is not None:
            folder = self.path.resolve()
            inner = storage_of(folder).relative_name(folder, self.excluded)
            if inner is not None:
                written = (self.left_out.written, self.path / inner)
                results.setdefault(PurePosixPath(inner), written)
        return results


def _is_image(folder: Path, name: str, left_out: LeftOut) -> bool:
    try:
        kind = file_kind(folder, name)
    except OSError as error:
        left_out.add_unreadable(name, error)
        return False
    if kind is FileKind.HEIC:
        left_out.heic += 1
    elif kind is FileKind.UNREAD:
        left_out.unread.append(name)
    return kind is FileKind.IMAGE
