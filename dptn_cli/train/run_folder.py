"""A run's folder: checkpoints, metrics, images; what a killed run leaves is whole.

checkpoint-last.pth      everything that going on needs
generator-last.pth       the moving average of the generator, for `dptn export`
generator-last-raw.pth   the generator as trained, without the average
generator-best.pth       the average, where a validation was best
discriminator-last.pth   the discriminator, with the published tensor names
metrics.jsonl            losses, rates and validations, one JSON object a line
tensorboard/             the same as scalars, and the grids
grids/step-00001000.png  what the generator makes of fixed pairs
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dptn_cli.errors import InputError
from dptn_cli.io.files import make_folder, write_atomic
from dptn_cli.io.images import write_image
from dptn_cli.io.jsonl import lock
from dptn_cli.io.storage import storage_of
from dptn_cli.network.checkpoint import read_checkpoint, save_generator
from dptn_cli.network.generator import Generator
from dptn_cli.types import ImageSpec, ImageU8

LAST = "checkpoint-last.pth"
METRICS = "metrics.jsonl"


class RunFolder:
    """The folder of one run, locked while it is open.

    Args:
        path: made if need be.
        writes: False in all but one of several processes, which then only read.

    Raises:
        InputError: it cannot be made or written to, or another training holds it.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self._writes = path, writes
        self._lock: IO[str] | None = None
        self._log: IO[str] | None = None
        self._scalars: SummaryWriter | None = None
        if writes:
            make_folder(path)
            try:
                self._lock = (path / ".lock").open("a")
                lock(self._lock, path, "dptn train")
                storage_of(self.path).remove_temporary_files(path)
            except OSError as error:
                raise InputError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        for open_file in (self._scalars, self._log, self._lock):
            if open_file is not None:
                open_file.close()

    def read_state(self) -> dict[str, Any] | None:
        """The last checkpoint, or None in a new folder.

        Raises:
            ModelError: it is there but cannot be read.
        """
        path = self.path / LAST
        return read_checkpoint(path) if path.exists() else None

    def go_on_from(self, step: int) -> None:
        """Open the metrics, without the lines of steps that will be made again.

        Raises:
            InputError: they cannot be read or written.
        """
        if not self._writes:
            return
        path = self.path / METRICS
        try:
            if path.exists():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
                kept = "".join(line for line in lines if _step(line) <= step)
                write_atomic(path, lambda file: file.write(kept.encode()))
            self._log = path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        self._scalars = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint; the one before stays until the new one is whole on the disk."""

        def write(file: BinaryIO) -> None:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())  # A power failure must not cost days of training.

        self._write(LAST, write)

    def save_discriminator(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the discriminator's tensors, as the published `*_net_D.pth` holds them."""
        on_cpu = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        self._write("discriminator-last.pth", lambda file: torch.save(on_cpu, file))

    def save_generator(self, which: str, generator: Generator, spec: ImageSpec) -> None:
        """Write `generator-WHICH.pth`."""
        if self._writes:
            try:
                save_generator(self.path / f"generator-{which}.pth", generator, spec)
            except OSError as error:
                raise InputError(f"{self.path}: {error.strerror}") from error

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        if self._writes:
            try:
                write_atomic(self.path / name, write)
            except OSError as error:
                raise InputError(f"{self.path / name}: {error.strerror}") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics, and a scalar for each value; `group/name` becomes a group."""
        if self._log is not None:
            try:
                self._log.write(json.dumps({"step": step, **values}) + "\n")
                self._log.flush()
            except OSError as error:
                raise InputError(f"{self.path / METRICS}: {error.strerror}") from error
        if self._scalars is not None:
            for name, value in values.items():
                self._scalars.add_scalar(name, value, step)

    def write_grid(self, step: int, grid_u8: ImageU8) -> None:
        """Keep an image grid."""
        if not self._writes:
            return
        write_image(self.path / "grids" / f"step-{step:08d}.png", grid_u8)
        if self._scalars is not None:
            self._scalars.add_image("grid", grid_u8, step, dataformats="HWC")


def _step(line: str) -> float:
    """The step that a line of metrics belongs to; infinite where it is torn."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
