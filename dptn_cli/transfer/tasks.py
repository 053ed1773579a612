"""An item on its way through the pipeline, and how it ends."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import FramingWarning, Status
from dptn_cli.errors import InputError, MachineLimit
from dptn_cli.types import Item, Outcome


@dataclass(frozen=True)
class Task:
    """An item to generate, after its files were read.

    Attributes:
        item: the item.
        fingerprint: digest of all that the image depends on.
        target_pose: (18, 2) float32 as (y, x), pixels of the network's image.
        elapsed_s: time spent on it so far, seconds.
        warnings: why its image may look wrong.
    """

    item: Item
    fingerprint: str
    target_pose: npt.NDArray[np.float32]
    elapsed_s: float = 0.0
    warnings: tuple[FramingWarning, ...] = ()

    def to_outcome(
        self, status: Status, reason: str = "", *, permanent: bool = False, known: bool = False
    ) -> Outcome:
        """Return the task's outcome.

        Args:
            status: how it ended.
            reason: why it was skipped or failed.
            permanent: see `Outcome`.
            known: see `Outcome`.
        """
        warnings = () if status is Status.FAILED else self.warnings
        return Outcome(
            output=self.item.output,
            source=self.item.source,
            target=self.item.target,
            status=status,
            reason=reason or "; ".join(warnings),  # a skipped item has a reason
            fingerprint=self.fingerprint,
            elapsed_s=self.elapsed_s,
            line=self.item.line,
            permanent=permanent,
            known=known,
            warnings=warnings,
        )


def failed_outcome(
    item: Item, reason: str, *, permanent: bool = False, stop_reason: str = ""
) -> Outcome:
    """Return the outcome of an item that cannot be generated.

    Args:
        item: the item.
        reason: why.
        permanent: see `Outcome`.
        stop_reason: see `Outcome`.
    """
    return Outcome(
        item.output,
        item.source,
        item.target,
        Status.FAILED,
        reason,
        item.failure_fingerprint,
        line=item.line,
        permanent=permanent,
        stop_reason=stop_reason,
    )


def is_permanent(error: Exception) -> bool:
    """Return whether an error lies in the user's files, so that it will come again."""
    if isinstance(error, MachineLimit):
        return False
    return isinstance(error, InputError | FileNotFoundError)


def reason_of(error: Exception) -> str:
    """Return what to tell the user about an error that ends an item."""
    if isinstance(error, FileNotFoundError):
        return "the source image is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
