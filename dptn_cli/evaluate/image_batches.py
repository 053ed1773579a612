"""Images read ahead by threads and handed on in batches of one size, in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.types import ImageU8

T = TypeVar("T")
Read: TypeAlias = Callable[[T], tuple[ImageU8, ...]]


@dataclass(frozen=True)
class ImageBatch:
    """Neighbours in the list whose images have one size, and those that could not be read.

    Attributes:
        indices: N positions in the list.
        stacks: one (N, H, W, 3) uint8 for each image that an item has.
        failed: positions of items that could not be read, with the reason.
    """

    indices: tuple[int, ...]
    stacks: tuple[npt.NDArray[np.uint8], ...]
    failed: tuple[tuple[int, str], ...] = ()

    @property
    def items(self) -> int:
        """Items that this batch ends, well or badly."""
        return len(self.indices) + len(self.failed)


def image_batches(
    items: Sequence[T], read: Read[T], *, batch_size: int, workers: int
) -> Iterator[ImageBatch]:
    """Read the items and group them; a few batches are in memory at once, never all.

    Args:
        items: what to read.
        read: gives an item's images, all of one shape; raises InputError.
        batch_size: most items in a batch.
        workers: threads that decode.
    """
    gathering = _Gathering(batch_size)
    for index, outcome in enumerate(_read_ahead(items, read, batch_size + 2 * workers, workers)):
        yield from gathering.add(index, outcome)
    yield from gathering.flush()


def _read_ahead(
    items: Sequence[T], read: Read[T], ahead: int, workers: int
) -> Iterator[tuple[ImageU8, ...] | str]:
    def attempt(item: T) -> tuple[ImageU8, ...] | str:
        try:
            return read(item)
        except InputError as error:
            return str(error)

    waiting: deque[Future[tuple[ImageU8, ...] | str]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(attempt, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Gathering:
    batch_size: int
    indices: list[int] = field(default_factory=list)
    images: list[tuple[ImageU8, ...]] = field(default_factory=list)

    def add(self, index: int, outcome: tuple[ImageU8, ...] | str) -> Iterator[ImageBatch]:
        if isinstance(outcome, str):
            yield ImageBatch((), (), ((index, outcome),))
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
