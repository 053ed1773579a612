"""An item on its way, and how it ends."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Status
from dptn_cli.types import Item, Outcome


@dataclass(frozen=True)
class Task:
    """An item that is to be made, with all that its image depends on."""

    item: Item
    fingerprint: str
    target_pose: npt.NDArray[np.float32]
    elapsed_s: float = 0.0


def reason_of(error: Exception) -> str:
    """What to tell the user of an error."""
    if isinstance(error, FileNotFoundError):
        return "the source image is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def failed(item: Item, reason: str) -> Outcome:
    """The outcome of an item that cannot be made."""
    return outcome_of(item, Status.FAILED, reason)


def outcome_of(item: Item, status: Status, reason: str = "", task: Task | None = None) -> Outcome:
    """How an item ended; with its task where that much is known of it."""
    return Outcome(
        output=item.output,
        source=item.source,
        target=item.target,
        status=status,
        reason=reason,
        fingerprint=task.fingerprint if task else "",
        elapsed_s=task.elapsed_s if task else 0.0,
    )
