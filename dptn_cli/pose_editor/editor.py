"""One person, and the poses that are drawn for them."""

import json
import re
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from dptn_cli.enums import Fit, ImageFormat, Retarget
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import make_folder, write_file
from dptn_cli.io.images import decode_crop, decode_reduced, encode_image
from dptn_cli.keypoints import format_pose, present_joints
from dptn_cli.keypoints.openpose import to_people
from dptn_cli.transfer.framing import FramedPose, frame_source, frame_target
from dptn_cli.transfer.infer import infer_targets
from dptn_cli.transfer.settings import BatchRunner
from dptn_cli.types import MISSING, FoundPose, ImageSpec, Pose

MAX_SHOWN_PX = 1600  # of the longer side of the source on the page
SHOWN_QUALITY = 90  # of its JPEG
MAX_NAME_BYTES = 200  # which leaves room for what `dptn transfer` adds
# No dots, and no ending that `dptn` takes for a tool's: two poses would be one target.
_NAME = re.compile(r"[^\W_][\w ()-]*")
_TOOL_ENDING = "_keypoints"


@dataclass(frozen=True)
class SavedPose:
    """A pose file that was written.

    Attributes:
        path: the file.
        csv_line: the same pose as a line of an annotation CSV.
        command: what generates the image that the page shows.
    """

    path: Path
    csv_line: str
    command: str


class PoseEditor:
    """Generates images of one person in the poses that a user draws, and saves the poses.

    Args:
        image: the image of the person.
        source_pose: their pose, (18, 2) as (y, x), pixels of the image.
        spec: the images that the model was made for.
        session: generates; None if there is no model that works.
        out: folder for the saved poses.
        fit: how the image is brought to the model's size.
        transfer_options: words of the command that the page shows, such as `--model m.onnx`.

    Attributes:
        size: (height, width) of the image, pixels.
        shown_image: the image as JPEG, its longer side reduced to at most `MAX_SHOWN_PX`.

    Raises:
        InputError: the image cannot be read, or the pose does not fit it.
    """

    def __init__(
        self,
        image: Path,
        source_pose: Pose,
        spec: ImageSpec,
        session: BatchRunner | None,
        out: Path,
        fit: Fit = Fit.AUTO,
        transfer_options: Sequence[str] = (),
    ) -> None:
        self.image, self.out, self.source_pose = image, out, source_pose
        self._spec, self._session, self._fit = spec, session, fit
        self._transfer_options = tuple(transfer_options)
        with user_errors(image):
            data = image.read_bytes()
        try:
            shown, self.size = decode_reduced(data, MAX_SHOWN_PX)
            self._source = frame_source(source_pose, self.size, spec, fit)
            self._cropped = decode_crop(data, self._source.crop, spec.network_size)
        except InputError as error:
            raise InputError(f"{image}: {error}") from error
        shown.thumbnail((MAX_SHOWN_PX, MAX_SHOWN_PX))
        self.shown_image = encode_image(np.asarray(shown), ImageFormat.JPG, SHOWN_QUALITY)
        self._written: set[Path] = set()
        self._lock = threading.Lock()  # one inference or file at a time
        self._has_ended = False

    def end(self) -> None:
        """Wait for the inference or file that is being made, and refuse any more."""
        with self._lock:
            self._has_ended = True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            if self._has_ended:
                raise InputError("dptn pose has ended")
            yield

    def generate(self, pose: Pose, retarget: Retarget) -> tuple[bytes, float]:
        """Generate the person in a pose, as `dptn transfer` does.

        Args:
            pose: (18, 2) as (y, x), pixels of the source image; -1 for a missing joint.
            retarget: whether the pose is scaled to the person.

        Returns:
            The image as PNG, and the seconds that it took.

        Raises:
            InputError: the pose cannot be used.
            ModelError: the inference failed.
        """
        if self._session is None:
            raise InputError("there is no model to generate with")
        target = self._frame(pose, retarget)
        with self._alone():
            started_s = time.perf_counter()
            (image_u8,) = infer_targets(
                self._session, self._cropped, self._source, [target], self._spec.image_size
            )
            png = encode_image(image_u8, ImageFormat.PNG)
            return png, time.perf_counter() - started_s

    def _frame(self, pose: Pose, retarget: Retarget) -> FramedPose:
        return frame_target(pose, self.size, self._source, self._spec, self._fit, retarget)

    def place(self, pose: Pose) -> Pose:
        """Scale a pose to the person, and place it in the source image.

        Args:
            pose: (18, 2) as (y, x), pixels of any image; -1 for a missing joint.

        Returns:
            (18, 2) as (y, x), pixels of the source image; -1 for a missing joint.

        Raises:
            InputError: the pose cannot be used.
        """
        placed = self._frame(pose, Retarget.SCALE).pose
        crop = self._source.crop
        top, left = (crop.top, crop.left) if crop else (0.0, 0.0)
        sides = (crop.height, crop.width) if crop else self.size
        scale = np.array(sides, float) / self._spec.image_size
        in_image = (placed + 0.5) * scale - 0.5 + (top, left)
        missing = (placed == MISSING).all(axis=1, keepdims=True)
        return np.where(missing, MISSING, in_image)

    def free_name(self) -> str:
        """Return a name that no saved pose has: `pose`, `pose 2`, ..."""
        names = (f"pose {number}" if number > 1 else "pose" for number in count(1))
        return next(name for name in names if not self._path(name).exists())

    def _path(self, name: str) -> Path:
        return self.out / f"{name}.json"

    def save(self, name: str, pose: Pose, retarget: Retarget) -> SavedPose:
        """Write a pose as OpenPose JSON, with the size of the source image as its canvas.

        Args:
            name: the file's name without `.json`.
            pose: (18, 2) as (y, x), pixels of the source image; -1 for a missing joint.
            retarget: whether the shown command scales the pose to the person.

        Raises:
            InputError: the name cannot be that of a target, there is a file that this editor did
                not write, or the file cannot be written.
        """
        _check_name(name)
        present = present_joints(pose)
        if not present.any():
            raise InputError("the pose has no joint")
        path = self._path(name)
        height, width = self.size
        document = to_people([FoundPose(name, pose, present.astype(float), self.size)])
        document |= {"canvas_width": width, "canvas_height": height}
        with self._alone():
            if path not in self._written and path.exists():
                raise InputError(f"{path} is there already: choose another name")
            make_folder(self.out)
            write_file(path, lambda file: file.write((json.dumps(document) + "\n").encode()))
            self._written.add(path)
        return SavedPose(path, format_pose(f"{name}.jpg", pose), self._command(path, retarget))

    def _command(self, path: Path, retarget: Retarget) -> str:
        words = ["dptn", "transfer", _as_argument(self.image), "--poses", _as_argument(path)]
        words += self._transfer_options
        if retarget is not Retarget.SCALE:
            words += ["--retarget", str(retarget)]
        results = "results" if self.out != Path("results") else "images"
        return shlex.join([*words, "-o", f"{results}/"])


def _check_name(name: str) -> None:
    is_target = _NAME.fullmatch(name) and not name.endswith((" ", _TOOL_ENDING))
    if not is_target or len(name.encode()) > MAX_NAME_BYTES:
        raise InputError(
            f"{name!r}: a name has letters, digits, spaces, ( ) _ and -, at most "
            f"{MAX_NAME_BYTES} bytes of them, begins with a letter or a digit, and does not end "
            f"with a space or {_TOOL_ENDING}"
        )


def _as_argument(path: Path) -> str:
    """Return a path as a word of a command that is not taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
