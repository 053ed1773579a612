"""The values that cross module borders: frozen, and free of behaviour.

Coordinates are (y, x) in pixels, 0 at the centre of the first pixel; a missing joint is
(-1, -1). Sizes are (height, width).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Fit, Retarget, Status
from dptn_cli.errors import InputError

JOINTS = 18
MISSING = -1.0

Size: TypeAlias = tuple[int, int]
"""(height, width), pixels."""

Pose: TypeAlias = npt.NDArray[np.float64]
"""(18, 2) as (y, x), pixels of the image on disk; -1 where a joint is missing."""

ImageU8: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True)
class Crop:
    """A part of an image, in pixels of it and their fractions; it may reach beyond it.

    Attributes:
        top: the edge above its first row; 0 is the image's own.
        left: likewise.
        height: more than 0.
        width: more than 0.
    """

    top: float
    left: float
    height: float
    width: float

    @property
    def size(self) -> tuple[float, float]:
        """(height, width)."""
        return self.height, self.width


@dataclass(frozen=True)
class ImageSpec:
    """The images a network was made for.

    Attributes:
        dataset: name of the preset, or of the user's own data.
        image_size: (height, width) of an image on disk, pixels.
        network_size: (height, width) that the network sees, pixels; multiples of 8.
        sigma_px: standard deviation of a keypoint's Gaussian, pixels of the network's grid.

    Raises:
        InputError: sizes or sigma that no network can have.
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
                "a side has 16 to 4096 pixels, the network's a multiple of 8"
            )
        if not 0 < self.sigma_px < 1000:
            raise InputError(f"sigma of {self.sigma_px} pixels: must be between 0 and 1000")


class Pair(NamedTuple):
    """One row of a pair list; a tuple, because lists have millions.

    Attributes:
        source: name of the source image, relative, with forward slashes.
        target: name of the image whose pose is wanted.
        output: name of the result, or None for the published naming.
    """

    source: str
    target: str
    output: str | None = None


@dataclass(frozen=True)
class Item:
    """One image to make.

    Attributes:
        output: name of the result, relative to the results folder, with forward slashes.
        source: name of the source image, as listed.
        target: name of the target pose, as listed.
        source_path: where the source image is.
        target_path: where the target image is, if there is one: its size frames its pose.
        source_pose: keypoints in the source image.
        target_pose: keypoints to reach.
        target_size: of the target image as its pose file tells it; None where it does not.
        unusable: why it cannot be made, known before anything is read; empty where it can.
        undetected: whether a pose of it is still to be detected, and empty until then.
    """

    output: str
    source: str
    target: str
    source_path: Path
    target_path: Path | None
    source_pose: Pose
    target_pose: Pose
    target_size: Size | None = None
    unusable: str = ""
    undetected: bool = False


@dataclass(frozen=True)
class Batch:
    """What the network is given at once: T targets of S distinct sources.

    Attributes:
        sources: (S, H, W, 3) uint8 RGB at the network's size.
        source_poses: (S, 18, 2) float32 (y, x), pixels of the network's grid.
        target_poses: (T, 18, 2) float32, likewise.
        source_index: (T,) int64, which source each target starts from.
    """

    sources: npt.NDArray[np.uint8]
    source_poses: npt.NDArray[np.float32]
    target_poses: npt.NDArray[np.float32]
    source_index: npt.NDArray[np.int64]

    def feeds(self) -> dict[str, npt.NDArray[np.generic]]:
        """By the names of the graph's inputs."""
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
        name: of the image, relative, with forward slashes.
        pose: keypoints in that image; sub-pixel where the finder gives it.
        confidence: (18,) float in 0..1, 0 where the joint is missing; 1 where a file tells none.
        image_size: of that image, pixels; None where a file does not tell.
        people: how many people were found in that image; this is one of them.
    """

    name: str
    pose: Pose
    confidence: npt.NDArray[np.float64]
    image_size: Size | None = None
    people: int = 1


@dataclass(frozen=True)
class Outcome:
    """How one item ended, and why.

    Attributes:
        output: name of the result, relative to the results folder.
        source: name of the source image.
        target: name of the target pose.
        status: done, skipped (an earlier run made the same image) or failed.
        reason: why it was skipped or failed; empty when done.
        fingerprint: digest of all that the image depends on; empty when it is not known.
        elapsed_s: the item's share of reading, inference and writing, seconds.
    """

    output: str
    source: str
    target: str
    status: Status
    reason: str = ""
    fingerprint: str = ""
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class Model:
    """What an exported file says of itself.

    Attributes:
        path: the ONNX file.
        sha256: of the file.
        spec: the images it was made for.
        precision: of its arithmetic: `fp32`, `fp16` or `int8`.
        metadata: every `dptn.` entry, without the prefix.
        target: what may run it: `any` runtime, or onnxruntime alone, for `cuda`.
    """

    path: Path
    sha256: str
    spec: ImageSpec
    precision: str
    metadata: Mapping[str, str]
    target: str = "any"


@dataclass(frozen=True)
class Job:
    """A checked transfer job.

    Attributes:
        model: what makes the images.
        out: the results folder.
        jpeg_quality: of results named `.jpg`.
        planned: number of items.
        items: gives the items from the start, each time it is called; they are never in memory
            as a whole.
        missing_sources: source images that are not there; their items will fail.
        multi_person_count: how many images have more than one person, of whom one counts.
        multi_person_names: of the first few of these, with the number of people.
        target_folders: where the target images lie, if they are there.
        missing_pose: images whose pose no file has, and that are there to detect it on.
        fit: how images of other sizes become the model's.
        retarget: whether target poses are brought to the source person's size.
        remote: whether images or results are behind a URL, where each is waited for.
    """

    model: Model
    out: Path
    jpeg_quality: int
    planned: int
    items: Callable[[], Iterator[Item]]
    missing_sources: tuple[str, ...] = ()
    multi_person_count: int = 0
    multi_person_names: tuple[str, ...] = ()
    target_folders: tuple[Path, ...] = ()
    missing_pose: tuple[Path, ...] = ()
    fit: Fit = Fit.AUTO
    retarget: Retarget = Retarget.NONE
    remote: bool = False

    def without_items(self) -> "Job":
        """For another process, in whatever folder that works."""
        model = replace(self.model, path=self.model.path.resolve())
        return replace(
            self, model=model, out=self.out.resolve(), items=_no_items, missing_sources=()
        )


def _no_items() -> Iterator[Item]:
    return iter(())
