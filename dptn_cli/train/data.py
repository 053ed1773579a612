"""The published data layout as batches of images and poses, ready for the networks."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_image, read_image_size
from dptn_cli.io.pair_list import read_pairs
from dptn_cli.io.resize import resize_to_network
from dptn_cli.keypoints import Annotations, mirror_pose, to_network
from dptn_cli.types import ImageSpec, ImageU8, Pair, Pose

LOOKERS = 8  # threads that read the images' headers


class Sample(NamedTuple):
    """A batch of pairs.

    Attributes:
        source: (N, H, W, 3) uint8 RGB at the network's size.
        target: likewise.
        source_pose: (N, 18, 2) float32 (y, x), pixels of the network's grid.
        target_pose: likewise.
    """

    source: Tensor
    target: Tensor
    source_pose: Tensor
    target_pose: Tensor

    def to(self, device: torch.device) -> "Sample":
        """The same on a device."""
        return Sample(*(part.to(device, non_blocking=True) for part in self))


class Draw(NamedTuple):
    """A pair of the list, mirrored or not."""

    row: int
    mirrored: bool = False


@dataclass(frozen=True)
class Phase:
    """The files of one phase (`train` or `test`) of a data folder."""

    images: Path
    annotations: Path
    pairs: Path


def find_phase(data: Path, name: str) -> Phase:
    """Find `NAME/`, `*annotation-NAME.csv` and `*pairs-NAME.csv` in a data folder.

    Raises:
        InputError: one is missing, or there are several of it.
    """
    if not (data / name).is_dir():
        raise InputError(f"{data}: the folder {name}/ with the images is missing")
    return Phase(
        data / name,
        _only(data, f"*annotation-{name}.csv"),
        _only(data, f"*pairs-{name}.csv"),
    )


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{folder}: one file named {pattern} is needed, found {names}")
    return found[0]


class PairDataset(Dataset[Sample]):
    """Every pair of a phase, decoded when asked for.

    Args:
        phase: its files.
        spec: the images' size on disk and in the network.
        skip_missing: leave out pairs whose images or keypoints cannot be used.

    Attributes:
        pairs: those that can be used.
        unusable: one line for each image that cannot, where they are skipped.

    Raises:
        InputError: images that are not there, of another size or without usable keypoints,
            all listed; or nothing that can be used.
    """

    def __init__(self, phase: Phase, spec: ImageSpec, *, skip_missing: bool = False) -> None:
        self.folder, self.spec = phase.images, spec
        self.poses = Annotations(phase.annotations)
        pairs: list[Pair] = list(read_pairs(phase.pairs))
        names = sorted({name for pair in pairs for name in (pair.source, pair.target)})
        with ThreadPoolExecutor(LOOKERS) as pool:
            problems = dict(zip(names, pool.map(self._problem, names), strict=True))
        bad = {name for name, problem in problems.items() if problem}
        self.unusable = tuple(f"{name}: {problems[name]}" for name in sorted(bad))
        if bad and not skip_missing:
            raise InputError(
                f"{phase.pairs}: {len(bad):,} images cannot be used; --skip-missing leaves out "
                "their pairs:",
                self.unusable,
            )
        self.pairs = [pair for pair in pairs if not {pair.source, pair.target} & bad]
        if not self.pairs:
            raise InputError(f"{phase.pairs}: none of its {len(pairs):,} pairs can be used")

    def _problem(self, name: str) -> str:
        """Why an image cannot be used; empty where it can."""
        if name not in self.poses:
            return "no keypoints"
        if not (self.folder / name).is_file():
            return f"not in {self.folder}"
        try:
            pose: Pose = self.poses[name]
            size = read_image_size(self.folder / name)
        except InputError as error:
            return str(error)
        if size != self.spec.image_size:
            wanted = self.spec.image_size
            return f"{size[0]}x{size[1]} pixels (HxW), the others have {wanted[0]}x{wanted[1]}"
        return "" if (pose >= 0).any() else "all 18 joints are missing"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """The pair at `index`, as a batch of one."""
        return self.batch([Draw(index)])

    def __getitems__(self, draws: Sequence[Draw]) -> Sample | InputError:
        """For a DataLoader's workers, which cannot raise without a traceback of their own."""
        try:
            return self.batch(draws)
        except InputError as error:
            return error

    def batch(self, draws: Sequence[Draw]) -> Sample:
        """Decode pairs.

        Raises:
            InputError: an image cannot be decoded; the message names it.
        """
        rows = [self._row(self.pairs[draw.row], draw.mirrored) for draw in draws]
        return Sample(*(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)))

    def _row(self, pair: Pair, mirrored: bool) -> list[npt.NDArray[Any]]:
        names = (pair.source, pair.target)
        images = [self._image(name) for name in names]
        poses = [self.poses[name] for name in names]
        height, width = self.spec.image_size
        if mirrored:
            images = [image[:, ::-1] for image in images]
            poses = [mirror_pose(pose, width) for pose in poses]
        return [
            *images,
            *(to_network(pose, (height, width), self.spec.network_size) for pose in poses),
        ]

    def _image(self, name: str) -> ImageU8:
        path = self.folder / name
        try:
            image = decode_image(path.read_bytes())
        except (InputError, OSError) as error:
            raise InputError(f"{path}: {error}") from error
        return resize_to_network(image, self.spec.network_size)


@dataclass(frozen=True)
class TrainData:
    """What a run learns from.

    Attributes:
        train: its pairs.
        test: those that validations look at; None where the data has no test phase.
    """

    train: PairDataset
    test: PairDataset | None


def read_data(data: Path, spec: ImageSpec, *, skip_missing: bool = False) -> TrainData:
    """Read and check a folder in the published layout.

    Raises:
        InputError: as `PairDataset`.
    """
    train, *test = (
        PairDataset(find_phase(data, phase), spec, skip_missing=skip_missing)
        for phase in ("train", "test")
        if phase == "train" or (data / phase).is_dir()
    )
    return TrainData(train, test[0] if test else None)


@dataclass(frozen=True)
class BatchOrder:
    """Which pairs each step takes.

    A function of the seed and the epoch alone, so that a run goes on where it stopped with no
    random state to keep.

    Attributes:
        pairs: length of the pair list.
        batch_size: pairs a step, over all processes.
        flip: whether half of the pairs are mirrored.
        drop_last: whether an epoch's incomplete last batch is left out.
        seed: of the order and the mirroring.
    """

    pairs: int
    batch_size: int
    flip: bool
    drop_last: bool
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch.

        Raises:
            InputError: fewer pairs than a batch, and the incomplete one is left out.
        """
        full, rest = divmod(self.pairs, self.batch_size)
        steps = full + (1 if rest and not self.drop_last else 0)
        if not steps:
            raise InputError(
                f"{self.pairs} pairs are less than one batch of {self.batch_size}, and "
                "--drop-last leaves out what does not fill one"
            )
        return steps

    def size(self, step: int) -> int:
        """Pairs in a step's batch, steps counted from 0."""
        done = step % self.steps_per_epoch * self.batch_size
        return min(self.batch_size, self.pairs - done)

    def rest(self, step: int, steps: int, process: int, processes: int) -> Iterator[list[Draw]]:
        """One process's share of every batch from `step` to `steps`.

        A process for which nothing is left in an incomplete batch is given the batch's first
        pair; `share` gives it no weight.
        """
        while step < steps:
            epoch, done = divmod(step, self.steps_per_epoch)
            draws = self._epoch(epoch)
            for batch in range(done, min(self.steps_per_epoch, done + steps - step)):
                whole = draws[batch * self.batch_size : (batch + 1) * self.batch_size]
                yield whole[process::processes] or whole[:1]
                step += 1

    def share(self, step: int, process: int, processes: int) -> float:
        """What a process's mean over its pairs counts in the mean over the processes."""
        count = self.size(step)
        return len(range(process, count, processes)) * processes / count

    def _epoch(self, epoch: int) -> list[Draw]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(self.pairs, generator=generator).tolist()
        mirrored = torch.zeros(self.pairs, dtype=torch.bool)
        if self.flip:
            mirrored = torch.rand(self.pairs, generator=generator) < 0.5
        return [Draw(*draw) for draw in zip(order, mirrored.tolist(), strict=True)]
