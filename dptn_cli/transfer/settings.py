"""How a job is run, and how long each stage took."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dptn_cli.transfer.earlier_runs import EarlierLookup
from dptn_cli.types import Batch

REMOTE_WORKERS = 32
"""Threads that read and write behind URLs, where they spend their time waiting."""


class BatchRunner(Protocol):
    """Generates the images of a batch: a `Session` or a `SettlingSession` of `inference`."""

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Return (T, H, W, 3) uint8 RGB.

        Raises:
            SessionLost: no inference succeeds any more.
            ModelError: this inference failed.
        """
        ...


@dataclass(frozen=True)
class Settings:
    """The settings of a run. No setting changes an image by more than 1 grey level.

    Attributes:
        batch_size: maximum number of targets in one inference.
        streams: number of inferences that run at once.
        workers: number of threads that decode, encode and write.
        earlier: returns what an earlier run made of an output, so that it can be skipped.
        stop: returns whether to stop; called between batches.
        notify: receives messages that the user should see at once, one line each.
    """

    batch_size: int = 8
    streams: int = 1
    workers: int = 2
    earlier: EarlierLookup = lambda output, fingerprint: None
    stop: Callable[[], bool] = lambda: False
    notify: Callable[[str], None] = lambda message: None


@dataclass
class StageSeconds:
    """Time spent in each stage, summed over its threads, seconds.

    Attributes:
        read: reading, decoding and fitting the sources.
        infer: inference.
        write: encoding and writing the results.
    """

    read: float = 0.0
    infer: float = 0.0
    write: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add what another process or machine spent."""
        self.read += other.read
        self.infer += other.infer
        self.write += other.write

    def idle_shares(self, elapsed_s: float, *, streams: int, workers: int) -> dict[str, float]:
        """Return the share of a run in which the threads of each stage had nothing to do, 0..1.

        Args:
            elapsed_s: duration of the run, seconds.
            streams: as in `Settings`.
            workers: as in `Settings`; reading and writing share them.
        """
        busy_s = {
            "inference": self.infer / streams,
            "reading and writing": (self.read + self.write) / workers,
        }
        return {stage: max(0.0, 1 - s / max(elapsed_s, 1e-9)) for stage, s in busy_s.items()}
