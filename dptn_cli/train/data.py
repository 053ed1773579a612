"""The published data layout as pairs of pictures and poses, ready for the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dptn_cli.errors import InputError
from dptn_cli.images import decode_picture, fit_to_network
from dptn_cli.keypoints import Annotations, to_network
from dptn_cli.pairs import read_pairs
from dptn_cli.records import Frame, Pair


class Sample(NamedTuple):
    """One pair, or a batch of them.

    Attributes:
        source: ([N,] H, W, 3) uint8 RGB at the network's size.
        target: likewise.
        source_pose: ([N,] 18, 2) float32 (y, x), pixels of the network's grid.
        target_pose: likewise.
    """

    source: Tensor
    target: Tensor
    source_pose: Tensor
    target_pose: Tensor


@dataclass(frozen=True)
class Phase:
    """The files of one phase (`train` or `test`) of a data folder."""

    pictures: Path
    annotations: Path
    pairs: Path


def find_phase(data: Path, name: str) -> Phase:
    """Find `NAME/`, `*annotation-NAME.csv` and `*pairs-NAME.csv` in a data folder.

    Raises:
        InputError: one is missing, or there are several of it.
    """
    if not (data / name).is_dir():
        raise InputError(f"{data}: the folder {name}/ with the pictures is missing")
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

    Raises:
        InputError: pictures without keypoints, or that are not there; the message lists them.
    """

    def __init__(self, phase: Phase, frame: Frame) -> None:
        self.folder = phase.pictures
        self.frame = frame
        self.pairs: list[Pair] = list(read_pairs(phase.pairs))
        self.poses = Annotations(phase.annotations)
        names = {name for pair in self.pairs for name in (pair.source, pair.target)}
        unposed = sorted(name for name in names if name not in self.poses)
        missing = sorted(name for name in names if not (self.folder / name).is_file())
        if unposed or missing:
            raise InputError(
                f"{phase.pairs}: {len(unposed)} pictures without keypoints and {len(missing)} "
                f"that are not in {self.folder}: {', '.join((unposed + missing)[:5])} ..."
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """The pair at `index`."""
        pair = self.pairs[index]
        return Sample(
            self._picture(pair.source),
            self._picture(pair.target),
            self._pose(pair.source),
            self._pose(pair.target),
        )

    def _picture(self, name: str) -> Tensor:
        path = self.folder / name
        try:
            image = decode_picture(path.read_bytes())
        except (InputError, OSError) as error:
            raise InputError(f"{path}: {error}") from error
        return torch.tensor(fit_to_network(image, self.frame.network_size))

    def _pose(self, name: str) -> Tensor:
        pose = self.poses[name]
        return torch.from_numpy(to_network(pose, self.frame.image_size, self.frame.network_size))
