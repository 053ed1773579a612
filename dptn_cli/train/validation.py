"""Validation scores of a generator on test pairs, and image grids to judge it by eye."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from dptn_cli.errors import InputError
from dptn_cli.io.images import read_image
from dptn_cli.io.resize import resize_to_disk
from dptn_cli.metrics.pixel import l1, psnr, to_unit
from dptn_cli.metrics.protocols import Undefined
from dptn_cli.metrics.ssim import ssim_standard
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps, tensor_to_image
from dptn_cli.train.data import Draw, PairBatch, PairDataset
from dptn_cli.types import ImageSpec, ImageU8
from dptn_cli.visualize.contact_sheet import contact_sheet
from dptn_cli.visualize.skeleton import draw_pose

GRID_PAIRS = 8
MAX_PSNR_DB = 100.0  # Two equal images have infinite PSNR, which would make the mean infinite.

T = TypeVar("T")


@dataclass(frozen=True)
class Scores:
    """Sums of scores over pairs, which can be added over processes.

    Attributes:
        pairs: number of pairs.
        ssim: sum of the standard SSIM, data range 255.
        psnr: sum of the PSNR in dB, data range 255.
        l1: sum of the mean absolute difference, images in 0..1.
    """

    pairs: float
    ssim: float
    psnr: float
    l1: float

    def means(self) -> dict[str, float]:
        """Return the means of SSIM, PSNR and L1 over the pairs; empty if there are no pairs."""
        if not self.pairs:
            return {}
        return {name: getattr(self, name) / self.pairs for name in ("ssim", "psnr", "l1")}


def spread(items: Sequence[T], max_count: int) -> list[T]:
    """Choose at most `max_count` items, spread evenly over a list."""
    count = min(max_count, len(items))
    return [items[i * len(items) // count] for i in range(count)] if count else []


def validate(
    generator: Generator, pairs: PairDataset, rows: Sequence[int], batch_size: int
) -> tuple[Scores, list[str]]:
    """Score generated targets against the true images, at the images' size on disk.

    Args:
        generator: the generator to score.
        pairs: the test pairs.
        rows: indices of the pairs to score.
        batch_size: pairs per forward pass.

    Returns:
        The scores of the pairs that could be read, and a line for each pair that could not.
    """
    sums, problems = np.zeros(4), []
    for start in range(0, len(rows), batch_size):
        batch = _read_batch(pairs, rows[start : start + batch_size])
        problems += batch.problems
        if batch.loaded is None:
            continue
        targets, _ = generate(generator, batch.loaded, pairs.spec)
        for row, image in zip(batch.rows, targets, strict=True):
            truth = read_image(pairs.folder / pairs.pairs[row].target)
            sums += (1, *_scores(resize_to_disk(image, pairs.spec.image_size), truth))
    return Scores(*sums.tolist()), problems


class _ReadBatch(NamedTuple):
    """The pairs of a batch that could be read.

    Attributes:
        rows: their indices.
        loaded: their images and poses; None if no pair could be read.
        problems: a line for each pair that could not be read.
    """

    rows: Sequence[int]
    loaded: PairBatch | None
    problems: list[str]


def _read_batch(pairs: PairDataset, rows: Sequence[int]) -> _ReadBatch:
    try:
        return _ReadBatch(rows, pairs.batch([Draw(row) for row in rows]), [])
    except InputError:
        pass  # Find out which of the pairs cannot be read.
    readable, problems = [], []
    for row in rows:
        try:
            pairs.batch([Draw(row)])
            readable.append(row)
        except InputError as error:
            problems.append(str(error))
    loaded = pairs.batch([Draw(row) for row in readable]) if readable else None
    return _ReadBatch(readable, loaded, problems)


def _scores(image: ImageU8, truth: ImageU8) -> tuple[float, float, float]:
    try:
        ssim = ssim_standard(image, truth)
    except Undefined:  # The images are smaller than SSIM's window; all have the same size.
        ssim = 0.0
    psnr_db = min(MAX_PSNR_DB, psnr(image, truth, 255.0))
    return ssim, psnr_db, l1(to_unit(image), to_unit(truth))


@torch.no_grad()
def generate(
    generator: Generator, batch: PairBatch, spec: ImageSpec
) -> tuple[Sequence[ImageU8], Sequence[ImageU8]]:
    """Generate the targets and the sources of a batch.

    Returns:
        The generated targets and the generated sources, each (H, W, 3) uint8 RGB at the network's
        size.
    """
    batch = batch.to(next(generator.parameters()).device)
    maps = [
        keypoint_maps(pose, spec.network_size, spec.sigma_px)
        for pose in (batch.source_pose, batch.target_pose)
    ]
    target, source = generator(image_to_tensor(batch.source), *maps)
    return _to_images(target), _to_images(source)


def _to_images(tensor: Tensor) -> Sequence[ImageU8]:
    return list(tensor_to_image(tensor).cpu().numpy())


def draw_grid(generator: Generator, pairs: PairDataset) -> ImageU8 | None:
    """Draw a contact sheet of fixed pairs: their images and poses, and the generated images.

    Returns:
        (H, W, 3) uint8 RGB; None if none of the pairs can be read.
    """
    rows, loaded, _ = _read_batch(pairs, spread(range(len(pairs)), GRID_PAIRS))
    if loaded is None:
        return None
    targets, sources = generate(generator, loaded, pairs.spec)
    size = pairs.spec.image_size
    sheet_rows = []
    for i, row in enumerate(rows):
        pair = pairs.pairs[row]
        cells = (
            loaded.source[i].numpy(),
            draw_pose(pairs.poses[pair.source], size),
            draw_pose(pairs.poses[pair.target], size),
            loaded.target[i].numpy(),
            targets[i],
            sources[i],
        )
        sheet_rows.append(
            [cell if cell.shape[:2] == size else resize_to_disk(cell, size) for cell in cells]
        )
    # Short enough not to overlap above the images of Market-1501, which are 64 pixels wide.
    captions = ("source", "source pose", "target pose", "target", "output", "source output")
    return contact_sheet(sheet_rows, captions, size)
