"""Whether a model runs in bf16 or in its own arithmetic: decided here, on images of the job."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Arithmetic
from dptn_cli.errors import ModelError
from dptn_cli.inference.session import Session, without_provider
from dptn_cli.types import Batch

MIN_PSNR_DB = 45.0  # as for fp16 exports: differences that nobody sees
MAX_PSNR_DB = 100.0  # stands for equal images, because JSON has no infinity


@dataclass(frozen=True)
class Settled:
    """A session whose arithmetic is decided.

    Attributes:
        session: the session.
        psnr_db: PSNR of its images against those of the model's own arithmetic; None if it runs in
            that, or if there was nothing to measure on.
        note: what to tell the user, one line; empty if the model runs as its file says.
    """

    session: Session
    psnr_db: float | None = None
    note: str = ""


def settle(session: Session, wanted: Arithmetic, batch: Batch | None) -> Settled:
    """Decide the arithmetic of a model, and open it in that.

    Args:
        session: a session of the model in its own arithmetic.
        wanted: what the user asked for. `AUTO` takes bf16 if the processor has it and its images
            are close enough.
        batch: some of the images that are to be generated; None if there are none.

    Raises:
        ModelError: bf16 was asked for by name and is not available, or the PSNR of its images is
            below `MIN_PSNR_DB`.
    """
    own = session.model.precision
    if wanted is Arithmetic.MODEL:
        return Settled(session)
    try:
        fast = session.in_bf16()
        psnr_db = None if batch is None else _compare(session, fast, batch)
        if psnr_db is not None and psnr_db < MIN_PSNR_DB:
            raise ModelError(
                f"PSNR of its images is {psnr_db:.1f} dB against {own}, but must be at least "
                f"{MIN_PSNR_DB:.0f} dB"
            )
    except ModelError as error:
        reason = without_provider(error)
        if wanted is Arithmetic.BF16:
            raise ModelError(f"--arithmetic bf16: {reason}") from error
        return Settled(session, note=f"Running in {own}, not in bf16: {reason}.")
    if batch is None or psnr_db is None:
        if wanted is Arithmetic.AUTO:
            return Settled(session, note=f"Running in {own}: there is no image to try bf16 on.")
        return Settled(fast, note="Running in bf16. There was no image to compare.")
    count = len(batch.target_poses)
    images = "image" if count == 1 else f"{count} images"
    note = f"Running in bf16: PSNR {psnr_db:.1f} dB against {own}, on the first {images}."
    return Settled(fast, psnr_db, note)


class SettlingSession:
    """A session whose arithmetic is decided by the first batch. Safe to use from several threads.

    Args:
        session: a session of the model in its own arithmetic.
        wanted: as in `settle`.
        notify: receives the decision when it is made, one line, unless the model runs as its file
            says.

    Attributes:
        settled: what was decided; None before the first batch, unless nothing is to be decided.
    """

    def __init__(
        self,
        session: Session,
        wanted: Arithmetic,
        notify: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._session, self._wanted, self._notify = session, wanted, notify
        self._lock = threading.Lock()
        self._refusal = ""
        self.settled = Settled(session) if wanted is Arithmetic.MODEL else None

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Generate the images of a batch; see `Session.run` and `settle`.

        If bf16 is refused, every call fails with the same reason.
        """
        with self._lock:
            settled = self.settled = self.settled or self._settle(batch)
        return settled.session.run(batch)

    def _settle(self, batch: Batch) -> Settled:
        if self._refusal:
            raise ModelError(self._refusal)
        try:
            settled = settle(self._session, self._wanted, batch)
        except ModelError as error:
            self._refusal = str(error)
            self._notify(self._refusal)
            raise
        if settled.note:
            self._notify(settled.note)
        return settled


def _compare(own: Session, other: Session, batch: Batch) -> float:
    difference = own.run(batch).astype(np.float64) - other.run(batch)
    squared_error = float(np.square(difference).mean())
    if not squared_error:
        return MAX_PSNR_DB
    return min(MAX_PSNR_DB, 10 * math.log10(255**2 / squared_error))
