"""An item on its way through the pipeline, and how it ends."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Status
from dptn_cli.types import Item, Outcome


@dataclass(frozen=True)
class Task:
    """An item to generate, after its files were read.

    Attributes:
        item: the item.
        fingerprint: digest of all that the image depends on.
        target_pose: (18, 2) float32 as (y, x), pixels of the network's image.
        elapsed_s: time spent on it so far, seconds.
    """

    item: Item
    fingerprint: str
    target_pose: npt.NDArray[np.float32]
    elapsed_s: float = 0.0

    def ended(self, status: Status, reason: str = "") -> Outcome:
        """Return the task's outcome."""
        return Outcome(
            output=self.item.output,
            source=self.item.source,
            target=self.item.target,
            status=status,
            reason=reason,
            fingerprint=self.fingerprint,
            elapsed_s=self.elapsed_s,
        )


def failed(item: Item, reason: str) -> Outcome:
    """Return the outcome of an item that cannot be generated."""
    return Outcome(item.output, item.source, item.target, Status.FAILED, reason)


def reason_of(error: Exception) -> str:
    """Return what to tell the user about an error that ends an item."""
    if isinstance(error, FileNotFoundError):
        return "the source image is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
