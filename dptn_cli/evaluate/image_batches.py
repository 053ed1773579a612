"""Images that threads read ahead, grouped into batches of one size, in order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.io.threads import map_ahead
from dptn_cli.types import ImageU8

T = TypeVar("T")
Images: TypeAlias = tuple[ImageU8, ...]


@dataclass(frozen=True)
class Failure:
    """The reason why an item could not be read."""

    reason: str


@dataclass(frozen=True)
class ImageBatch:
    """Consecutive items whose images have one size, or an item that could not be read.

    Attributes:
        indices: positions of the N items in the list.
        stacks: one (N, H, W, 3) uint8 array for each image of an item.
        failed: position and reason of each item that could not be read.
    """

    indices: tuple[int, ...]
    stacks: tuple[npt.NDArray[np.uint8], ...]
    failed: tuple[tuple[int, str], ...] = ()

    @property
    def items(self) -> int:
        """Number of items in this batch, read or failed."""
        return len(self.indices) + len(self.failed)


def image_batches(
    items: Sequence[T], read: Callable[[T], Images], *, batch_size: int, workers: int
) -> Iterator[ImageBatch]:
    """Read the items and group them. Only a few batches are in memory at a time.

    Args:
        items: the items to read.
        read: returns the images of an item, all of one shape; raises InputError.
        batch_size: maximum number of items in a batch.
        workers: number of threads that decode.
    """
    builder = _BatchBuilder(batch_size)
    for index, outcome in enumerate(_read_ahead(items, read, batch_size + 2 * workers, workers)):
        yield from builder.add(index, outcome)
    yield from builder.flush()


def _read_ahead(
    items: Sequence[T], read: Callable[[T], Images], ahead: int, workers: int
) -> Iterator[Images | Failure]:
    def attempt(item: T) -> Images | Failure:
        try:
            return read(item)
        except InputError as error:
            return Failure(str(error))

    with ThreadPoolExecutor(workers) as pool:
        yield from map_ahead(pool, attempt, items, ahead)


@dataclass
class _BatchBuilder:
    batch_size: int
    indices: list[int] = field(default_factory=list)
    images: list[Images] = field(default_factory=list)

    def add(self, index: int, outcome: Images | Failure) -> Iterator[ImageBatch]:
        if isinstance(outcome, Failure):
            yield ImageBatch((), (), ((index, outcome.reason),))
            return
        if self.images and self.images[0][0].shape != outcome[0].shape:
            yield from self.flush()
        self.indices.append(index)
        self.images.append(outcome)
        if len(self.images) == self.batch_size:
            yield from self.flush()

    def flush(self) -> Iterator[ImageBatch]:
        if self.images:
            stacks = tuple(np.stack(column) for column in zip(*self.images, strict=True))
            indices = tuple(self.indices)
            self.indices, self.images = [], []
            yield ImageBatch(indices, stacks)
