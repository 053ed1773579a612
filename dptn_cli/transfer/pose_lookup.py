"""Where the pose of an image is looked up: in the user's pose files, then beside the image."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dptn_cli.errors import InputError, counted, user_errors
from dptn_cli.io.image_folders import ImageFile, ImageIndex
from dptn_cli.io.results_folder import KEYPOINTS_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints import PoseFiles
from dptn_cli.types import FoundPose


class _Detected(NamedTuple):
    """What the log of `dptn detect-poses` says of an image: the file's size, and the pose."""

    image_bytes: int
    pose_hash: int


def _hash(found: FoundPose) -> int:
    return hash(found.pose.round(3).tobytes())


def _read_detected(folder: Path) -> dict[str, _Detected]:
    """Return what `dptn detect-poses` found for the `keypoints.csv` of a folder, by image name."""
    from dptn_cli.detect.log import iterate_outcomes  # its room imports onnxruntime

    detected: dict[str, _Detected] = {}
    if storage_of(folder).is_remote:  # where no pose is detected
        return detected
    with suppress(InputError):  # Without a log that can be read, no pose is outdated.
        for outcome in iterate_outcomes(folder / KEYPOINTS_NAME):
            if outcome.file_state and outcome.found_pose:
                image_bytes, _ = outcome.file_state
                detected[outcome.name] = _Detected(image_bytes, _hash(outcome.found_pose))
    return detected


class PoseLookup:
    """Finds the poses of images in pose files.

    Args:
        pose_files: the files that the user named. They win over those beside the images.
        folders: folders whose `keypoints.csv` counts for the images in them.
        image_index: which images exist.

    Raises:
        InputError: a `keypoints.csv` cannot be read.
    """

    def __init__(
        self, pose_files: PoseFiles, folders: Iterable[Path], image_index: ImageIndex
    ) -> None:
        self._pose_files, self._image_index = pose_files, image_index
        self._by_folder: dict[Path, PoseFiles] = {}
        self._detected: dict[Path, dict[str, _Detected]] = {}
        self._outdated: dict[Path, dict[str, None]] = {}
        for folder in dict.fromkeys(folders):
            path = folder / KEYPOINTS_NAME
            with user_errors(path):
                exists = storage_of(path).is_file(path)
            if exists:
                self._by_folder[folder] = PoseFiles(path)

    def find(self, image: ImageFile, *more_folders: Path) -> FoundPose | None:
        """Return the pose of an image, or None if no file has one.

        Args:
            image: the image; it need not exist.
            *more_folders: further folders whose `keypoints.csv` counts for this image.

        Raises:
            InputError: the image's entry in a pose file is broken.
        """

        def is_other_image(name: str) -> bool:
            try:
                return self._image_index.has(ImageFile(image.folder, name))
            except InputError:  # a name that leaves the folder is no image of it
                return False

        own = image.pose_files if isinstance(image, PoseTarget) else None
        in_folders = (self._by_folder.get(folder) for folder in (image.folder, *more_folders))
        for pose_files in (own, self._pose_files, *in_folders):
            if pose_files is not None and (pose := pose_files.find(image.name, is_other_image)):
                is_beside = pose_files is self._by_folder.get(image.folder)
                if not (is_beside and self._is_outdated(image, pose)):
                    return pose
        return None

    def _is_outdated(self, image: ImageFile, pose: FoundPose) -> bool:
        """Return whether `dptn detect-poses` found a pose on another image of this name.

        A pose that somebody has changed since is the user's own. The size of the file decides,
        because copying a folder changes the times of its files.
        """
        detected = self._detected_in(image.folder).get(image.name)
        if detected is None or detected.pose_hash != _hash(pose):
            return False
        try:
            is_same = image.path.stat().st_size == detected.image_bytes
        except OSError:  # A target needs no image.
            return False
        if not is_same:
            self._outdated.setdefault(image.folder, {})[image.name] = None
        return not is_same

    def _detected_in(self, folder: Path) -> dict[str, _Detected]:
        if folder not in self._detected:
            self._detected[folder] = _read_detected(folder)
        return self._detected[folder]

    def notes(self) -> list[str]:
        """Say what was passed over in the files or assumed so far, one line each."""
        files = (self._pose_files, *self._by_folder.values())
        notes = [note for each in files for note in (*each.notes, *each.guesses())]
        for folder, names in self._outdated.items():
            notes.append(
                f"{folder / KEYPOINTS_NAME}: {counted(len(names), 'pose')} not used, because the "
                "image has changed since dptn detect-poses looked at it, such as "
                f"{next(iter(names))}"
            )
        return notes

    def unused(self) -> Iterator[tuple[Path, str]]:
        """Yield what the user named and `find` has not used; see `PoseFiles.unused`."""
        return self._pose_files.unused()


@dataclass(frozen=True)
class PoseTarget(ImageFile):
    """A target from a pose file, whose pose is looked up there first.

    A source image of the same name does not get that pose.

    Attributes:
        pose_files: the files that name the target.
    """

    pose_files: PoseFiles

    __hash__ = ImageFile.__hash__

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes the target from others."""
        return (*super().key, id(self.pose_files))
