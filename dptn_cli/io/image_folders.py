"""Images by folder and name, and finding them in what the user names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.paths import IMAGE_SUFFIXES
from dptn_cli.io.results_folder import MANIFEST_NAME
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
        """The image's path. `ImageIndex.has` makes sure that it does not leave the folder."""
        return storage_of(self.folder).join(self.folder, self.name)


class ImageIndex:
    """Which images exist, in any number of folders. Used from several threads."""

    def __init__(self) -> None:
        self._folders: dict[Path, FolderIndex] = {}

    def has(self, image: ImageFile) -> bool:
        """Return whether an image exists.

        Raises:
            InputError: its name or a link leads out of its folder, or the storage does not
                answer.
        """
        folder = image.folder
        if folder not in self._folders:
            self._folders[folder] = storage_of(folder).index(folder)
        with user_errors(folder):
            return self._folders[folder].has(image.name)


def find_images(paths: Iterable[Path], exclude: Path | None = None) -> Iterator[ImageFile]:
    """Find the images among files and, recursively, in folders.

    Args:
        paths: files, folders, and patterns (`*`, `**`, `?`, `[…]`) that the shell left alone.
        exclude: a results folder whose images do not count. Other results folders below a folder,
            which are known by their manifest, never count.

    Yields:
        The images, in the order of `paths`, and by name within a folder.

    Raises:
        InputError: a file or folder does not exist, the storage does not answer, or a pattern
            matches nothing.
    """
    excluded = exclude.resolve() if exclude else None
    for path in _expand(paths):
        storage = storage_of(path)
        with user_errors(path):
            is_dir = storage.is_dir(path)
            if not is_dir and not storage.is_file(path):
                raise InputError(f"{path}: no such file or folder")
        if is_dir:
            yield from _images_in(path.resolve(), excluded)
        else:
            yield ImageFile(path.parent.resolve(), path.name)


def _expand(paths: Iterable[Path]) -> Iterator[Path]:
    """Replace patterns by the images and folders that they match."""
    for path in paths:
        matches = storage_of(path).expand(path)
        if not matches:
            raise InputError(f"{path}: nothing matches this pattern")
        for match in matches:
            if match is path or _is_image_name(match.name) or match.is_dir():
                yield match


def _images_in(folder: Path, excluded: Path | None) -> Iterator[ImageFile]:
    """Find the images in a folder, but for those in results folders.

    Args:
        folder: resolved path.
        excluded: resolved path of a results folder that has no manifest yet, or None.
    """
    with user_errors(folder):
        names = [PurePosixPath(name) for name in storage_of(folder).list_files(folder)]
    results = {name.parent for name in names if name.name == MANIFEST_NAME} - {PurePosixPath()}
    if excluded is not None:
        if storage_of(excluded).relative_name(excluded, folder) is not None:
            return  # the folder is, or is in, the results folder
        inner = storage_of(folder).relative_name(folder, excluded)
        if inner is not None:
            results.add(PurePosixPath(inner))
    for name in sorted(names):
        if _is_image_name(name.name) and not results.intersection(name.parents):
            yield ImageFile(folder, name.as_posix())


def _is_image_name(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
