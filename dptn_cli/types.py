"""The values that pass between rooms: frozen dataclasses with little behaviour.

Joint coordinates are (y, x) in pixels, and 0 is the centre of the first pixel. A missing joint is
(-1, -1). A crop's 0 is the outer edge of that pixel. Sizes are (height, width) in pixels.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Arithmetic, Fit, FramingWarning, Retarget, Status
from dptn_cli.errors import InputError

JOINTS = 18
MISSING = -1.0

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

Pose: TypeAlias = npt.NDArray[np.float64]
"""(18, 2) as (y, x), in pixels of the image on disk; -1 for a missing joint."""

ImageU8: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Failure:
    """Why a value could not be obtained.

    Attributes:
        reason: one line for the user.
        fingerprint: digest of the inputs that the failure depends on; empty if it is not known.
    """

    reason: str
    fingerprint: str = ""


class Progress(Protocol):
    """Receives how far a long piece of work has come: a progress bar, or nothing."""

    def stage(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Enter a stage of the work.

        Args:
            label: what is being done, for the user.
            total: number of units in the stage.

        Returns:
            A context manager that gives a function to call with the number of units done since the
            last call.
        """
        ...


class NoProgress:
    """Progress that nobody watches."""

    @contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """See `Progress.stage`."""
        yield lambda units: None


@dataclass(frozen=True)
class Crop:
    """A rectangle of an image, which may reach beyond it. All numbers are pixels of the image.

    Attributes:
        top: the upper edge; 0 is the image's own.
        left: the left edge; 0 is the image's own.
        height: more than 0.
        width: more than 0.
    """

    top: float
    left: float
    height: float
    width: float

    @property
    def size(self) -> tuple[float, float]:
        """(height, width) in pixels of the image."""
        return self.height, self.width


@dataclass(frozen=True)
class ImageSpec:
    """The images that a network was made for.

    Attributes:
        dataset: name of a preset (`fashion`, `market`) or of the user's own data.
        image_size: (height, width) of an image on disk, pixels.
        network_size: (height, width) of an image in the network, pixels; multiples of 8.
        sigma_px: standard deviation of a keypoint's Gaussian, pixels of the network's image.

    Raises:
        InputError: no network can have these sizes or this sigma.
    """

    dataset: str
    image_size: Size
    network_size: Size
    sigma_px: float = 6.0

    def __post_init__(self) -> None:
        sides = (*self.image_size, *self.network_size)
        if min(sides) < 16 or max(sides) > 4096 or any(side % 8 for side in self.network_size):
            raise InputError(
                f"image size {self.image_size} and network size {self.network_size}: "
                "every side must be 16 to 4096 pixels, and the network's sides multiples of 8"
            )
        if not 0 < self.sigma_px < 1000:
            raise InputError(f"sigma of {self.sigma_px} pixels: must be between 0 and 1000")


class Pair(NamedTuple):
    """One row of a pair list. A tuple, because lists have millions of rows.

    Attributes:
        source: name of the source image, relative, with forward slashes.
        target: name of the image whose pose is wanted, relative, with forward slashes.
        output: name of the result; None for the published naming.
    """

    source: str
    target: str
    output: str | None = None


@dataclass(frozen=True)
class Item:
    """One image to generate.

    Attributes:
        output: name of the result, relative to the results folder, with forward slashes.
        source: name of the source image, as listed.
        target: name of the target pose, as listed.
        source_path: the source image.
        target_path: the target image, whose size frames the target pose; None if there is none.
        source_pose: keypoints in the source image.
        target_pose: the pose to show the person in.
        target_size: size of the target image according to its pose file; None if that does not
            say.
        source_size: size of the source image according to its pose file; None if that does not
            say.
        failure_reason: why the item cannot be generated, if that is known from planning; else
            empty.
        failure_fingerprint: digest of the inputs that this failure depends on; empty if the reason
            tells all of it.
        line: number of its line in the pair list, from 1 on; 0 if there is none.
        source_pose_pending: whether the source pose is still to be detected.
        target_pose_pending: whether the target pose is still to be detected.
    """

    output: str
    source: str
    target: str
    source_path: Path
    target_path: Path | None
    source_pose: Pose
    target_pose: Pose
    target_size: Size | None = None
    source_size: Size | None = None
    failure_reason: str = ""
    failure_fingerprint: str = ""
    line: int = 0
    source_pose_pending: bool = False
    target_pose_pending: bool = False

    @property
    def pose_pending(self) -> bool:
        """Whether one of its poses is still to be detected."""
        return self.source_pose_pending or self.target_pose_pending


@dataclass(frozen=True)
class Batch:
    """The input of one inference: T targets of S distinct sources.

    Attributes:
        sources: (S, H, W, 3) uint8 RGB at the network's size.
        source_poses: (S, 18, 2) float32 as (y, x), pixels of the network's image.
        target_poses: (T, 18, 2) float32 as (y, x), pixels of the network's image.
        source_index: (T,) int64, the row of `sources` that each target starts from.
    """

    sources: npt.NDArray[np.uint8]
    source_poses: npt.NDArray[np.float32]
    target_poses: npt.NDArray[np.float32]
    source_index: npt.NDArray[np.int64]

    def feeds(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays by the names of the graph's inputs."""
        return {
            "source": self.sources,
            "source_pose": self.source_poses,
            "target_pose": self.target_poses,
            "source_index": self.source_index,
        }


@dataclass(frozen=True)
class FoundPose:
    """One person's pose in one image, as a detector or a pose file gives it.

    Attributes:
        name: name of the image, relative, with forward slashes.
        pose: keypoints in the image, with the sub-pixel precision of the detector or file.
        confidence: (18,) float in 0..1; 0 for a missing joint, 1 if a file has no confidences.
        image_size: (height, width) of the image, pixels; None if a file does not say.
        people: number of people found in the image, of whom this is one.
    """

    name: str
    pose: Pose
    confidence: npt.NDArray[np.float64]
    image_size: Size | None = None
    people: int = 1


@dataclass(frozen=True)
class Outcome:
    """The end of one item, and the reason.

    Attributes:
        output: name of the result, relative to the results folder.
        source: name of the source image.
        target: name of the target pose.
        status: done, skipped (an earlier run generated the same image) or failed.
        reason: why the item was skipped or failed. If it is done, why it may look wrong, or empty.
        fingerprint: digest of all that the image depends on; empty if it is not known.
        elapsed_s: the item's share of reading, inference and writing, seconds.
        line: number of the item's line in the pair list, from 1 on; 0 if there is none.
        permanent: whether the item will fail again unless its inputs change.
        known: whether an earlier run failed at it for the same reason.
        stop_reason: why the whole run cannot go on; empty if it can. The item is then not done,
            and not to blame.
        warnings: if it is done or skipped, why its image may look wrong.
    """

    output: str
    source: str
    target: str
    status: Status
    reason: str = ""
    fingerprint: str = ""
    elapsed_s: float = 0.0
    line: int = 0
    permanent: bool = False
    known: bool = False
    stop_reason: str = ""
    warnings: tuple[FramingWarning, ...] = ()


@dataclass(frozen=True)
class Model:
    """The metadata of an exported ONNX file.

    Attributes:
        path: the ONNX file.
        sha256: digest of the file, hexadecimal.
        spec: the images that the model was made for.
        precision: the arithmetic of the graph: `fp32`, `fp16` or `int8`; `fp64`, `bf16`, `int4` or
            `float8` if another tool has converted the file.
        metadata: every `dptn.` entry of the file, without the prefix.
        runtime: what can run the file: `any` ONNX runtime, or only onnxruntime (`cuda`).
    """

    path: Path
    sha256: str
    spec: ImageSpec
    precision: str
    metadata: Mapping[str, str]
    runtime: str = "any"


@dataclass(frozen=True)
class Job:
    """A checked transfer job.

    Attributes:
        model: the model that generates the images.
        out: the results folder.
        jpeg_quality: quality of results named `.jpg`, 1 to 100.
        planned: number of items.
        items: iterates over the items from the start at each call. They are never in memory as a
            whole.
        missing_source_count: number of source images that do not exist. Their items will fail.
        missing_sources: names of the first few of them, with their lines in the pair list.
        multi_person_count: number of images with several people, one of whom counts.
        multi_person_names: names of the first few such images, with their numbers of people.
        target_folders: the folders of the target images.
        missing_pose: images without keypoints, on which poses can be detected: their names, by
            path.
        fit: how images of other sizes are brought to the model's size.
        retarget: whether target poses are scaled to the source person.
        arithmetic: the arithmetic that the model runs in, `MODEL` or `BF16`.
        remote: whether images or results are behind a URL, so that each access waits.
        notes: what the user should know before the job starts, one line each.
        request: the lists, folders and options that the job was made of, for `run.json`.
        is_partial: whether outputs may be listed that the job does not know: beyond `--limit`, or
            in rows that cannot be used.
        is_input: returns whether an output's name is that of an image that the job reads.
        name_key: returns what two outputs share if the disk takes their names for one file.
    """

    model: Model
    out: Path
    jpeg_quality: int
    planned: int
    items: Callable[[], Iterator[Item]]
    missing_source_count: int = 0
    missing_sources: tuple[str, ...] = ()
    multi_person_count: int = 0
    multi_person_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    target_folders: tuple[Path, ...] = ()
    missing_pose: Mapping[Path, str] = field(default_factory=dict)
    fit: Fit = Fit.AUTO
    retarget: Retarget = Retarget.NONE
    arithmetic: Arithmetic = Arithmetic.MODEL
    remote: bool = False
    request: Mapping[str, Any] = field(default_factory=dict)
    is_partial: bool = False
    is_input: Callable[[str], bool] = lambda output: False
    name_key: Callable[[str], str] = str

    def without_items(self) -> "Job":
        """Return a copy for worker processes: absolute paths, and no iterator of items."""
        model = replace(self.model, path=self.model.path.resolve())
        return replace(
            self,
            model=model,
            out=self.out.resolve(),
            items=_no_items,
            missing_sources=(),
            missing_pose={},
            request={},
            is_input=_is_no_input,
        )


def _is_no_input(output: str) -> bool:
    return False


def _no_items() -> Iterator[Item]:
    return iter(())
