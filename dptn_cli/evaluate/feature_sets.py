"""The features of a set of images: their Gaussian, the rows where KID needs them, the cache.

The real set's are kept in the user's cache folder under a digest of the file list, the sizes,
the times and the weights, so that a changed folder is measured anew.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.evaluate.image_batches import image_batches
from dptn_cli.evaluate.types import Problem
from dptn_cli.io.cache import CACHE_VARIABLE, cache_folder
from dptn_cli.io.files import make_folder
from dptn_cli.metrics.fid import FeatureSums, Gaussian
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.types import ImageU8

CACHE_FORMAT = 1
GAUSSIAN_NAME, ROWS_NAME = "gaussian.npz", "features.f32"
WIDTH = 2048

Extract: TypeAlias = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""A network: (N, H, W, 3) uint8 -> (N, 2048)."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one folder.

    Attributes:
        folder: where they are.
        names: relative, forward slashes, sorted.
    """

    folder: Path
    names: tuple[str, ...]

    def drop_last(self, batch: int) -> "ImageSet":
        """Without the images that do not fill a batch."""
        return ImageSet(self.folder, self.names[: len(self.names) // batch * batch])


@dataclass(frozen=True)
class SetFeatures:
    """What was measured of a set.

    Attributes:
        gaussian: of the features; None for fewer than two readable images.
        rows: file of (N, 2048) float32 features.
        failed: images that could not be read.
    """

    gaussian: Gaussian | None
    rows: Path
    failed: tuple[Problem, ...]

    def features(self) -> npt.NDArray[np.float32]:
        """(N, 2048) float32, mapped, not read; copy-on-write, which PyTorch asks for."""
        return np.memmap(self.rows, np.float32, mode="c").reshape(-1, WIDTH)


@dataclass(frozen=True)
class Measuring:
    """How sets are measured.

    Attributes:
        network: key of `NETWORKS`.
        extract: the network.
        batch_size: most images at once.
        workers: threads that decode.
        scratch: folder for features that are not kept.
        advance: is told of every so many images that are done.
    """

    network: str
    extract: Extract
    batch_size: int
    workers: int
    scratch: Path
    advance: Callable[[int], None]


def measure(images: ImageSet, measuring: Measuring, read: Callable[[Path], ImageU8]) -> SetFeatures:
    """Run the network over a set; nothing is kept beyond the scratch folder."""
    folder = Path(tempfile.mkdtemp(dir=measuring.scratch))
    return _measure_into(folder, images, measuring, read)


def measure_cached(
    images: ImageSet, measuring: Measuring, read: Callable[[Path], ImageU8]
) -> SetFeatures:
    """The same, kept in the cache folder, and taken from there when nothing has changed.

    Raises:
        InputError: the cache folder cannot be written to.
    """
    entry = cache_folder() / "features" / _digest(images, measuring.network)
    if (kept := _load(entry)) is not None:
        measuring.advance(len(images.names))
        return kept
    make_folder(entry.parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".making-", dir=entry.parent))
    except OSError as error:
        raise InputError(
            f"{entry.parent}: cannot be written to: {error.strerror}; set ${CACHE_VARIABLE}"
        ) from error
    try:
        found = _measure_into(folder, images, measuring, read)
        if found.gaussian is None or found.failed:
            # Told anew at the next run; a cached set would keep silent about the failures.
            kept_rows = Path(tempfile.mkdtemp(dir=measuring.scratch)) / ROWS_NAME
            shutil.move(found.rows, kept_rows)
            return SetFeatures(found.gaussian, kept_rows, found.failed)
        shutil.rmtree(entry, ignore_errors=True)
        os.replace(folder, entry)
        return SetFeatures(found.gaussian, entry / ROWS_NAME, ())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure_into(
    folder: Path, images: ImageSet, measuring: Measuring, read: Callable[[Path], ImageU8]
) -> SetFeatures:
    sums, failed = FeatureSums(WIDTH), []
    with (folder / ROWS_NAME).open("wb") as rows:
        for batch in image_batches(
            images.names,
            lambda name: (read(images.folder / name),),
            batch_size=measuring.batch_size,
            workers=measuring.workers,
        ):
            failed += [Problem(images.names[index], reason) for index, reason in batch.failed]
            if batch.stacks:
                _add(measuring.extract(batch.stacks[0]), sums, rows)
            measuring.advance(batch.items)
    gaussian = sums.gaussian() if sums.count > 1 else None
    if gaussian is not None:
        np.savez(folder / GAUSSIAN_NAME, mean=gaussian.mean, factor=gaussian.factor)
    return SetFeatures(gaussian, folder / ROWS_NAME, tuple(failed))


def _add(features: npt.NDArray[np.float32], sums: FeatureSums, rows: BinaryIO) -> None:
    sums.add(features)
    rows.write(features.astype(np.float32).tobytes())


def _load(entry: Path) -> SetFeatures | None:
    """A cache entry, or None where there is none or it is damaged."""
    rows = entry / ROWS_NAME
    try:
        count, rest = divmod(rows.stat().st_size, 4 * WIDTH)
        with np.load(entry / GAUSSIAN_NAME, allow_pickle=False) as arrays:
            mean, factor = arrays["mean"], arrays["factor"]
    except Exception:  # A damaged archive raises nearly anything.
        return None
    if rest or count < 2 or mean.shape != (WIDTH,) or factor.shape != (min(count, WIDTH), WIDTH):
        return None
    return SetFeatures(Gaussian(mean, factor, count), rows, ())


def _digest(images: ImageSet, network: str) -> str:
    """Of all that the features depend on: files by name, size and time, and the weights."""
    digest = hashlib.sha256(json.dumps([CACHE_FORMAT, network]).encode())
    with NETWORKS[network].weights.path.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(str(images.folder.resolve()).encode("utf-8", "surrogatepass"))
    for name in images.names:
        stat = (images.folder / name).stat()
        line = json.dumps([name, stat.st_size, stat.st_mtime_ns])
        digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def used_images(images: Sequence[ImageSet], batch: int) -> list[ImageSet]:
    """The published dropping: no set keeps images that do not fill a batch.

    Args:
        images: the sets that are compared.
        batch: the published batch; sets smaller than that make it smaller, for all of them.
    """
    batch = min(batch, *(len(one.names) for one in images))
    return [one.drop_last(batch) for one in images]
