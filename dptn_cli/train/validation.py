"""How good a generator is on the test pairs, and images to see it by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

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
from dptn_cli.train.data import Draw, PairDataset, Sample
from dptn_cli.types import ImageSpec, ImageU8
from dptn_cli.visualize.contact_sheet import contact_sheet
from dptn_cli.visualize.skeleton import draw_pose

GRID_PAIRS = 8
MAX_PSNR = 100.0  # of two equal images, whose PSNR is infinite and would hide the mean

T = TypeVar("T")


@dataclass(frozen=True)
class Scores:
    """Sums over pairs; divided by `pairs` they are the means.

    Attributes:
        pairs: how many.
        ssim: standard SSIM, data range 255.
        psnr: dB, data range 255.
        l1: in 0..1.
    """

    pairs: float
    ssim: float
    psnr: float
    l1: float

    def means(self) -> dict[str, float]:
        """SSIM, PSNR and L1, each a mean over the pairs; nothing where there are none."""
        if not self.pairs:
            return {}
        return {name: getattr(self, name) / self.pairs for name in ("ssim", "psnr", "l1")}


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of a list, evenly spread over it."""
    count = min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)] if count else []


def validate(
    generator: Generator, pairs: PairDataset, rows: Sequence[int], batch_size: int
) -> tuple[Scores, list[str]]:
    """Score generated targets against the true images, at their size on disk.

    Returns:
        The scores of what could be read, and what to say of the rest.
    """
    sums, problems = np.zeros(4), []
    for start in range(0, len(rows), batch_size):
        chunk, sample, broken = _readable(pairs, rows[start : start + batch_size])
        problems += broken
        if sample is None:
            continue
        made, _ = generate(generator, sample, pairs.spec)
        for row, image in zip(chunk, made, strict=True):
            truth = read_image(pairs.folder / pairs.pairs[row].target)
            sums += (1, *_scores(resize_to_disk(image, pairs.spec.image_size), truth))
    return Scores(*sums.tolist()), problems


def _readable(
    pairs: PairDataset, rows: Sequence[int]
) -> tuple[Sequence[int], Sample | None, list[str]]:
    """The rows whose images can be read, as a batch, and why the others cannot."""
    try:
        return rows, pairs.batch([Draw(row) for row in rows]), []
    except InputError:
        problems = {row: problem for row in rows if (problem := _problem(pairs, row))}
    good = [row for row in rows if row not in problems]
    sample = pairs.batch([Draw(row) for row in good]) if good else None
    return good, sample, list(problems.values())


def _problem(pairs: PairDataset, row: int) -> str:
    try:
        pairs.batch([Draw(row)])
    except InputError as error:
        return str(error)
    return ""


def _scores(made: ImageU8, truth: ImageU8) -> tuple[float, float, float]:
    try:
        ssim = ssim_standard(made, truth)
    except Undefined:  # Images smaller than the window; they are all of one size.
        ssim = 0.0
    return ssim, min(MAX_PSNR, psnr(made, truth, 255.0)), l1(to_unit(made), to_unit(truth))


@torch.no_grad()
def generate(
    generator: Generator, sample: Sample, spec: ImageSpec
) -> tuple[Sequence[ImageU8], Sequence[ImageU8]]:
    """Generated targets and generated sources, (H, W, 3) uint8 at the network's size."""
    sample = sample.to(next(generator.parameters()).device)
    maps = [
        keypoint_maps(pose, spec.network_size, spec.sigma_px)
        for pose in (sample.source_pose, sample.target_pose)
    ]
    target, source = generator(image_to_tensor(sample.source), *maps)
    return _images(target), _images(source)


def _images(tensor: Tensor) -> Sequence[ImageU8]:
    return list(tensor_to_image(tensor).cpu().numpy())


def grid(generator: Generator, pairs: PairDataset) -> ImageU8 | None:
    """A contact sheet of fixed pairs: what goes in, what should and what does come out.

    Returns:
        None where none of their images can be read.
    """
    rows, sample, _ = _readable(pairs, spread(range(len(pairs)), GRID_PAIRS))
    if sample is None:
        return None
    made_targets, made_sources = generate(generator, sample, pairs.spec)
    size = pairs.spec.image_size
    sheet_rows = []
    for i, row in enumerate(rows):
        pair = pairs.pairs[row]
        sheet_rows.append(
            [
                sample.source[i].numpy(),
                draw_pose(pairs.poses[pair.source], size),
                draw_pose(pairs.poses[pair.target], size),
                sample.target[i].numpy(),
                made_targets[i],
                made_sources[i],
            ]
        )
    disk = [
        [resize_to_disk(image, size) if image.shape[:2] != size else image for image in cells]
        for cells in sheet_rows
    ]
    captions = ("source", "its pose", "pose to reach", "target", "made target", "made source")
    return contact_sheet(disk, captions, size)
