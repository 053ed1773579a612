"""How good a generator is on the test pairs, and pictures to see it by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dptn_cli.errors import InputError
from dptn_cli.images import fit_to_disk, read_picture
from dptn_cli.metrics.pixel import l1, psnr, to_unit
from dptn_cli.metrics.ssim import ssim_standard
from dptn_cli.metrics.undefined import Undefined
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import keypoint_maps, picture_to_tensor, tensor_to_picture
from dptn_cli.records import Frame, PictureU8
from dptn_cli.sheets import contact_sheet
from dptn_cli.skeleton import draw_pose
from dptn_cli.train.data import Draw, PairDataset, Sample

GRID_PAIRS = 8
MOST_PSNR = 100.0  # of two equal pictures, whose PSNR is infinite and would hide the mean

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
    """Score generated targets against the true pictures, at their size on disk.

    Returns:
        The scores of what could be read, and what to say of the rest.
    """
    sums, problems = np.zeros(4), []
    for start in range(0, len(rows), batch_size):
        chunk, sample, broken = _readable(pairs, rows[start : start + batch_size])
        problems += broken
        if sample is None:
            continue
        made, _ = generate(generator, sample, pairs.frame)
        for row, picture in zip(chunk, made, strict=True):
            truth = read_picture(pairs.folder / pairs.pairs[row].target)
            sums += (1, *_scores(fit_to_disk(picture, pairs.frame.image_size), truth))
    return Scores(*sums.tolist()), problems


def _readable(
    pairs: PairDataset, rows: Sequence[int]
) -> tuple[Sequence[int], Sample | None, list[str]]:
    """The rows whose pictures can be read, as a batch, and why the others cannot."""
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


def _scores(made: PictureU8, truth: PictureU8) -> tuple[float, float, float]:
    try:
        ssim = ssim_standard(made, truth)
    except Undefined:  # Pictures smaller than the window; they are all of one size.
        ssim = 0.0
    return ssim, min(MOST_PSNR, psnr(made, truth, 255.0)), l1(to_unit(made), to_unit(truth))


@torch.no_grad()
def generate(
    generator: Generator, sample: Sample, frame: Frame
) -> tuple[Sequence[PictureU8], Sequence[PictureU8]]:
    """Generated targets and generated sources, (H, W, 3) uint8 at the network's size."""
    sample = sample.to(next(generator.parameters()).device)
    maps = [
        keypoint_maps(pose, frame.network_size, frame.sigma_px)
        for pose in (sample.source_pose, sample.target_pose)
    ]
    target, source = generator(picture_to_tensor(sample.source), *maps)
    return _pictures(target), _pictures(source)


def _pictures(tensor: Tensor) -> Sequence[PictureU8]:
    return list(tensor_to_picture(tensor).cpu().numpy())


def grid(generator: Generator, pairs: PairDataset) -> PictureU8 | None:
    """A contact sheet of fixed pairs: what goes in, what should and what does come out.

    Returns:
        None where none of their pictures can be read.
    """
    rows, sample, _ = _readable(pairs, spread(range(len(pairs)), GRID_PAIRS))
    if sample is None:
        return None
    made_targets, made_sources = generate(generator, sample, pairs.frame)
    size = pairs.frame.image_size
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
        [fit_to_disk(picture, size) if picture.shape[:2] != size else picture for picture in cells]
        for cells in sheet_rows
    ]
    captions = ("source", "its pose", "pose to reach", "target", "made target", "made source")
    return contact_sheet(disk, captions, size)
