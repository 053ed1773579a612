"""The features of an image set: their Gaussian for FID, their rows for KID, and the cache.

The features of the reference set are kept in the user's cache folder. The cache key is a digest
of the names, sizes and times of the files and of the weights, so a changed folder is read again.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.evaluate.image_batches import image_batches
from dptn_cli.evaluate.types import Problem
from dptn_cli.io.cache import CACHE_VARIABLE, cache_folder
from dptn_cli.io.files import make_folder
from dptn_cli.io.images import read_image
from dptn_cli.metrics.fid import FEATURE_WIDTH, FeatureNetwork, FeatureSums, Gaussian
from dptn_cli.metrics.weights import NETWORKS

CACHE_FORMAT = 1
GAUSSIAN_NAME, ROWS_NAME = "gaussian.npz", "features.f32"


@dataclass(frozen=True)
class ImageSet:
    """The images of one folder.

    Attributes:
        folder: the folder.
        names: names of the images, relative to the folder, with forward slashes, sorted.
    """

    folder: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class SetFeatures:
    """The features of an image set.

    Attributes:
        gaussian: the Gaussian of the features; None if fewer than two images could be read.
        rows: file of the (N, 2048) float32 features.
        failed: images that could not be read.
    """

    gaussian: Gaussian | None
    rows: Path
    failed: tuple[Problem, ...]

    def features(self) -> npt.NDArray[np.float32]:
        """Return the (N, 2048) float32 features as a memory map.

        The map is copy-on-write, because PyTorch warns about arrays that are read-only.
        """
        return np.memmap(self.rows, np.float32, mode="c").reshape(-1, FEATURE_WIDTH)


@dataclass(frozen=True)
class FeatureExtractor:
    """A network that is run over whole image sets.

    Attributes:
        network: key of the network in `NETWORKS`.
        run_network: the network.
        batch_size: maximum number of images in a batch.
        workers: number of threads that decode.
        scratch: folder for features that are not cached.
        advance: called with the number of images just done.
        note: receives what the reader of the scores should know, one line each.
    """

    network: str
    run_network: FeatureNetwork
    batch_size: int
    workers: int
    scratch: Path
    advance: Callable[[int], None]
    note: Callable[[str], None] = lambda message: None

    def extract(self, images: ImageSet) -> SetFeatures:
        """Run the network over a set. The features are written to the scratch folder."""
        return self._extract_into(Path(tempfile.mkdtemp(dir=self.scratch)), images)

    def extract_cached(self, images: ImageSet) -> SetFeatures:
        """Take the features of a set from the cache, or run the network and cache them.

        A cache that is full or cannot be written is noted, and stops nothing.
        """
        entry = cache_folder() / "features" / _cache_key(images, self.network)
        if (cached := _load(entry)) is not None:
            self.advance(len(images.names))
            return cached
        extracted = self.extract(images)
        # Failures are not cached, so that the next run reports them too.
        if extracted.gaussian is not None and not extracted.failed:
            try:
                _keep(extracted.rows.parent, entry)
            except (OSError, InputError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                self.note(
                    f"the features of {images.folder} are not kept for the next evaluation: "
                    f"{entry.parent}: {reason}; ${CACHE_VARIABLE} names another folder"
                )
        return extracted

    def _extract_into(self, folder: Path, images: ImageSet) -> SetFeatures:
        sums, failed = FeatureSums(FEATURE_WIDTH), []
        with (folder / ROWS_NAME).open("wb") as rows:
            for batch in image_batches(
                images.names,
                lambda name: (read_image(images.folder / name),),
                batch_size=self.batch_size,
                workers=self.workers,
            ):
                failed += [Problem(images.names[index], reason) for index, reason in batch.failed]
                if batch.stacks:
                    features = self.run_network(batch.stacks[0])
                    sums.add(features)
                    rows.write(features.astype(np.float32).tobytes())
                self.advance(batch.items)
        gaussian = sums.gaussian() if sums.count > 1 else None
        if gaussian is not None:
            np.savez(folder / GAUSSIAN_NAME, mean=gaussian.mean, factor=gaussian.factor)
        return SetFeatures(gaussian, folder / ROWS_NAME, tuple(failed))


def drop_partial_batches(image_sets: Sequence[ImageSet], batch_size: int) -> list[ImageSet]:
    """Drop the last images of each set that do not fill a batch, as the published code does.

    Args:
        image_sets: the sets that are compared.
        batch_size: the published batch size. A smaller set reduces it, for all sets.
    """
    batch_size = min(batch_size, *(len(images.names) for images in image_sets))
    return [
        ImageSet(images.folder, images.names[: len(images.names) // batch_size * batch_size])
        for images in image_sets
    ]


def _keep(folder: Path, entry: Path) -> None:
    """Copy the features in a folder into the cache.

    Raises:
        InputError: the cache folder cannot be created.
        OSError: it cannot be written; nothing is left behind in it.
    """
    make_folder(entry.parent)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=entry.parent))
    try:
        for name in (ROWS_NAME, GAUSSIAN_NAME):
            shutil.copyfile(folder / name, making / name)
        shutil.rmtree(entry, ignore_errors=True)
        os.replace(making, entry)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _load(entry: Path) -> SetFeatures | None:
    """Read a cache entry. Return None if it is missing or damaged."""
    rows = entry / ROWS_NAME
    try:
        count, rest = divmod(rows.stat().st_size, 4 * FEATURE_WIDTH)
        with np.load(entry / GAUSSIAN_NAME, allow_pickle=False) as arrays:
            mean, factor = arrays["mean"], arrays["factor"]
    except Exception:  # A damaged archive raises nearly anything.
        return None
    factor_shape = (min(count, FEATURE_WIDTH), FEATURE_WIDTH)
    if rest or count < 2 or mean.shape != (FEATURE_WIDTH,) or factor.shape != factor_shape:
        return None
    return SetFeatures(Gaussian(mean, factor, count), rows, ())


def _cache_key(images: ImageSet, network: str) -> str:
    """Return a digest of the weights and of each file's name, size and modification time."""
    digest = hashlib.sha256(json.dumps([CACHE_FORMAT, network]).encode())
    with NETWORKS[network].weights.path.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(str(images.folder.resolve()).encode("utf-8", "surrogatepass"))
    for name in images.names:
        stat = (images.folder / name).stat()
        line = json.dumps([name, stat.st_size, stat.st_mtime_ns])
        digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]
