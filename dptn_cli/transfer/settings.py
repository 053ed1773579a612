"""How a job is run, with what, and how long each stage took."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dptn_cli.types import Batch

REMOTE_WORKERS = 32
"""Threads that read and write behind URLs, where they wait rather than work."""


class BatchRunner(Protocol):
    """What makes the images of a batch: `dptn_cli.session.Session`, or a stand-in."""

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """(T, H, W, 3) uint8 RGB; ModelError where it cannot."""
        ...


@dataclass(frozen=True)
class Settings:
    """How a job is run; none of it changes an image by more than 1 level.

    Attributes:
        batch_size: most targets in one inference.
        streams: inferences that run at once.
        workers: threads that decode, encode and write.
        is_done: whether an image (output name, fingerprint) need not be made again.
        stop: asked between batches; True ends the run in order.
        tell: is given what the user should know at once, in a line.
    """

    batch_size: int = 8
    streams: int = 1
    workers: int = 2
    is_done: Callable[[str, str], bool] = lambda output, fingerprint: False
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda text: None


@dataclass
class StageSeconds:
    """Time spent in each stage, summed over its threads, seconds."""

    read: float = 0.0
    infer: float = 0.0
    write: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add what another machine or actor spent."""
        self.read += other.read
        self.infer += other.infer
        self.write += other.write

    def waiting(self, elapsed_s: float, *, streams: int, workers: int) -> dict[str, float]:
        """Of a run's time, the share in which the threads of a stage had nothing to do.

        Args:
            elapsed_s: of the run.
            streams: as in `Settings`.
            workers: likewise; reading and writing share them.
        """
        busy = {
            "inference": self.infer / streams,
            "reading and writing": (self.read + self.write) / workers,
        }
        return {name: max(0.0, 1 - s / max(elapsed_s, 1e-9)) for name, s in busy.items()}
