"""Reading of the published data layout, as batches of images and poses."""

from collections import Counter
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
from dptn_cli.train.recipe import size_options
from dptn_cli.types import ImageSpec, ImageU8, Pair, Pose, Size

HEADER_THREADS = 8  # Reading image headers waits for the disk, not for the processor.


class PairBatch(NamedTuple):
    """A batch of pairs.

    Attributes:
        source: (N, H, W, 3) uint8 RGB at the network's size.
        target: (N, H, W, 3) uint8 RGB at the network's size.
        source_pose: (N, 18, 2) float32 as (y, x), pixels of the network's grid; (-1, -1) is a
            missing joint.
        target_pose: (N, 18, 2) float32 as (y, x), pixels of the network's grid; (-1, -1) is a
            missing joint.
    """

    source: Tensor
    target: Tensor
    source_pose: Tensor
    target_pose: Tensor

    def to(self, device: torch.device) -> "PairBatch":
        """Return a copy on a device."""
        return PairBatch(*(part.to(device, non_blocking=True) for part in self))


@dataclass(frozen=True)
class BadBatch:
    """The reason why a batch could not be decoded.

    A DataLoader's worker returns it instead of raising: an exception would reach the training
    process with the worker's traceback as its message.

    Attributes:
        reason: one line that names the image.
    """

    reason: str


class Draw(NamedTuple):
    """A pair drawn from the list.

    Attributes:
        row: index of the pair in the list.
        mirrored: whether to mirror its images and poses.
    """

    row: int
    mirrored: bool = False


@dataclass(frozen=True)
class Phase:
    """The files of one phase (`train` or `test`) of a data folder.

    Attributes:
        images: folder of the images.
        annotations: CSV file of the keypoints.
        pairs: CSV file of the pair list.
    """

    images: Path
    annotations: Path
    pairs: Path


def find_phase(data: Path, name: str) -> Phase:
    """Find `NAME/`, `*annotation-NAME.csv` and `*pairs-NAME.csv` in a data folder.

    Raises:
        InputError: one of them is missing, or several files match a pattern.
    """
    if not (data / name).is_dir():
        raise InputError(f"{data}: the folder {name}/ with the images is missing")
    return Phase(
        data / name,
        _single_file(data, f"*annotation-{name}.csv"),
        _single_file(data, f"*pairs-{name}.csv"),
    )


def _single_file(folder: Path, pattern: str) -> Path:
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise InputError(f"{folder}: exactly one file named {pattern} is needed, found {names}")
    return paths[0]


class PairDataset(Dataset[PairBatch]):
    """The pairs of a phase, decoded on access.

    Args:
        phase: the files of the phase.
        spec: image sizes on disk and in the network.
        skip_missing: whether to leave out pairs whose images or keypoints cannot be used, instead
            of raising an error.

    Attributes:
        pairs: the usable pairs.
        unusable: one line for each image that cannot be used.

    Raises:
        InputError: images are missing, have another size or have no usable keypoints, and the
            error lists them all; or no pair can be used.
    """

    def __init__(self, phase: Phase, spec: ImageSpec, *, skip_missing: bool = False) -> None:
        self.folder, self.spec = phase.images, spec
        self.poses = Annotations(phase.annotations)
        pairs: list[Pair] = list(read_pairs(phase.pairs))
        names = sorted({name for pair in pairs for name in (pair.source, pair.target)})
        self._sizes: dict[str, Size] = {}
        with ThreadPoolExecutor(HEADER_THREADS) as pool:
            problems = dict(zip(names, pool.map(self._problem, names), strict=True))
        bad = {name for name, problem in problems.items() if problem}
        self.unusable = tuple(f"{name}: {problems[name]}" for name in sorted(bad))
        self._check_common_size()
        if bad and not skip_missing:
            raise InputError(
                f"{phase.pairs}: {len(bad):,} images cannot be used (--skip-missing leaves out "
                "their pairs):",
                self.unusable,
            )
        self.pairs = [pair for pair in pairs if not {pair.source, pair.target} & bad]
        if not self.pairs:
            raise InputError(f"{phase.pairs}: none of its {len(pairs):,} pairs can be used")

    def _check_common_size(self) -> None:
        """Make sure that the options name the size that most images have.

        Raises:
            InputError: they name another size; the message says which options to give.
        """
        if not self._sizes:
            return
        size, count = Counter(self._sizes.values()).most_common(1)[0]
        if size != self.spec.image_size:
            height, width = self.spec.image_size
            raise InputError(
                f"{self.folder}: {count:,} of {len(self._sizes):,} images have {size[0]}x{size[1]} "
                f"pixels (HxW), but the options are for {height}x{width} (--dataset "
                f"{self.spec.dataset}): give {size_options(size)}"
            )

    def _problem(self, name: str) -> str:
        """Return why an image cannot be used; an empty string if it can."""
        if name not in self.poses:
            return "no keypoints"
        if not (self.folder / name).is_file():
            return f"not in {self.folder}"
        try:
            pose: Pose = self.poses[name]
            size = read_image_size(self.folder / name)
        except InputError as error:
            return str(error)
        self._sizes[name] = size
        if size != self.spec.image_size:
            height, width = self.spec.image_size
            return f"{size[0]}x{size[1]} pixels (HxW), but the data has {height}x{width}"
        return "" if (pose >= 0).any() else "all 18 joints are missing"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> PairBatch:
        """Return the pair at `index` as a batch of one."""
        return self.batch([Draw(index)])

    def __getitems__(self, draws: Sequence[Draw]) -> PairBatch | BadBatch:
        """Decode a batch in a worker of a DataLoader."""
        try:
            return self.batch(draws)
        except InputError as error:
            return BadBatch(str(error))

    def batch(self, draws: Sequence[Draw]) -> PairBatch:
        """Decode pairs.

        Raises:
            InputError: an image cannot be decoded; the message names it.
        """
        rows = [self._decode_pair(self.pairs[draw.row], draw.mirrored) for draw in draws]
        return PairBatch(
            *(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        )

    def _decode_pair(self, pair: Pair, mirrored: bool) -> list[npt.NDArray[Any]]:
        """Return the fields of a `PairBatch` for one pair, without the batch axis."""
        names = (pair.source, pair.target)
        images = [self._decode_image(name) for name in names]
        poses = [self.poses[name] for name in names]
        height, width = self.spec.image_size
        if mirrored:
            images = [image[:, ::-1] for image in images]
            poses = [mirror_pose(pose, width) for pose in poses]
        return [
            *images,
            *(to_network(pose, (height, width), self.spec.network_size) for pose in poses),
        ]

    def _decode_image(self, name: str) -> ImageU8:
        path = self.folder / name
        try:
            image = decode_image(path.read_bytes())
        except (InputError, OSError) as error:
            raise InputError(f"{path}: {error}") from error
        return resize_to_network(image, self.spec.network_size)


@dataclass(frozen=True)
class TrainData:
    """The pairs of a data folder.

    Attributes:
        train: pairs to train on.
        test: pairs to validate on; None if the folder has no test phase.
    """

    train: PairDataset
    test: PairDataset | None


def read_data(data: Path, spec: ImageSpec, *, skip_missing: bool = False) -> TrainData:
    """Read and check a folder in the published layout.

    Args:
        data: the folder.
        spec: image sizes on disk and in the network.
        skip_missing: whether to leave out pairs whose images or keypoints cannot be used, instead
            of raising an error.

    Raises:
        InputError: files are missing, or images or keypoints cannot be used.
    """
    train = PairDataset(find_phase(data, "train"), spec, skip_missing=skip_missing)
    if not (data / "test").is_dir():
        return TrainData(train, None)
    return TrainData(train, PairDataset(find_phase(data, "test"), spec, skip_missing=skip_missing))


class Position(NamedTuple):
    """A place in the order in which a run takes its pairs.

    Attributes:
        step: number of steps before it.
        epoch: the epoch that the next batch belongs to, counted from 0.
        pair: number of pairs of that epoch that were used before.
    """

    step: int = 0
    epoch: int = 0
    pair: int = 0


@dataclass(frozen=True)
class BatchOrder:
    """The order in which a run takes pairs from the list.

    It depends on the seed and the epoch alone, so a run can be resumed at any step without a
    stored random state.

    Attributes:
        pairs: number of pairs in the list.
        batch_size: pairs per step, over all processes.
        flip: whether to mirror half of the pairs.
        drop_last: whether to leave out an epoch's incomplete last batch.
        seed: random seed of the order and the mirroring.
        start: where batches of this size begin. Anything but the default is a run that was resumed
            with another batch size.
    """

    pairs: int
    batch_size: int
    flip: bool
    drop_last: bool
    seed: int
    start: Position = Position()

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch.

        Raises:
            InputError: the only batch is incomplete, and `drop_last` leaves it out.
        """
        steps = self._batches_of(self.pairs)
        if not steps:
            raise InputError(
                f"{self.pairs} pairs are less than one batch of {self.batch_size}, and "
                "--drop-last leaves out incomplete batches"
            )
        return steps

    def batches(
        self, first_step: int, end_step: int, process: int, processes: int
    ) -> Iterator[list[Draw]]:
        """Yield one process's part of each batch from `first_step` to before `end_step`.

        If an incomplete batch has fewer pairs than there are processes, the processes left over
        get its first pair. They have to take part in the step, but their share is 0.

        Args:
            first_step: the first step, counted from 0.
            end_step: the step after the last one.
            process: index of this process, from 0.
            processes: number of processes.
        """
        epoch, draws = -1, []
        for step in range(first_step, end_step):
            position = self.position_of(step)
            if position.epoch != epoch:
                epoch, draws = position.epoch, self._epoch(position.epoch)
            batch = draws[position.pair : position.pair + self.batch_size]
            yield batch[process::processes] or batch[:1]

    def steps(self, epochs: int) -> int:
        """Return the number of steps of a run of some epochs, with those before `start`."""
        first = self._batches_of(self.pairs - self.start.pair)
        later_epochs = epochs - self.start.epoch - 1
        return self.start.step + first + later_epochs * self.steps_per_epoch

    def position_of(self, step: int) -> Position:
        """Return where a step lies, counted from 0: its epoch, and its first pair in the epoch."""
        later = step - self.start.step - self._batches_of(self.pairs - self.start.pair)
        if later < 0:
            used = (step - self.start.step) * self.batch_size
            return Position(step, self.start.epoch, self.start.pair + used)
        epochs, steps = divmod(later, self.steps_per_epoch)
        return Position(step, self.start.epoch + 1 + epochs, steps * self.batch_size)

    def _batches_of(self, pairs: int) -> int:
        """Return the number of batches that some pairs make."""
        full, remaining_pairs = divmod(pairs, self.batch_size)
        return full + (1 if remaining_pairs and not self.drop_last else 0)

    def loss_weight(self, step: int, process: int, processes: int) -> float:
        """Return the weight of one process's loss in a step.

        A process's loss is the mean over its own pairs. Multiplied by this weight, the mean over
        the processes is the mean over the whole batch, even if the parts have different sizes.

        Args:
            step: the step, counted from 0.
            process: index of the process, from 0.
            processes: number of processes.
        """
        batch_size = min(self.batch_size, self.pairs - self.position_of(step).pair)
        own_pairs = len(range(process, batch_size, processes))
        return own_pairs * processes / batch_size

    def _epoch(self, epoch: int) -> list[Draw]:
        """Shuffle the pairs for an epoch, and choose those to mirror."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(self.pairs, generator=generator).tolist()
        mirrored = torch.zeros(self.pairs, dtype=torch.bool)
        if self.flip:
            mirrored = torch.rand(self.pairs, generator=generator) < 0.5
        return [Draw(*draw) for draw in zip(order, mirrored.tolist(), strict=True)]
