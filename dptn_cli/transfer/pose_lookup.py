"""Where the pose of an image is looked up: in the user's pose files, then beside the image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.image_folders import ImageFile, ImageIndex
from dptn_cli.io.results_folder import KEYPOINTS_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints import PoseFiles
from dptn_cli.types import FoundPose


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
                return pose
        return None

    def notes(self) -> list[str]:
        """Say what was passed over in the files or assumed so far, one line each."""
        files = (self._pose_files, *self._by_folder.values())
        return [note for each in files for note in (*each.notes, *each.guesses())]

    def unused(self) -> Iterator[tuple[Path, str]]:
        """Yield what the user named and `find` has not used, with one name in it each."""
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
