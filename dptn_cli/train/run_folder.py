"""The folder of a run. Every file in it is whole, even if the run was killed.

checkpoint-last.pth      everything needed to resume
generator-last.pth       the moving average of the generator, for `dptn export`
generator-last-raw.pth   the generator itself, without averaging
generator-best.pth       the moving average at the best validation
discriminator-last.pth   the discriminator, with the published tensor names
metrics.jsonl            losses, learning rates and validation scores, one JSON object per line
tensorboard/             the same as scalars, and the grids
grids/step-00001000.png  a contact sheet of images that the generator draws for fixed pairs
"""

import json
import os
from collections.abc import Callable, Mapping
from math import isinf
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dptn_cli.errors import user_errors
from dptn_cli.io.files import make_folder, write_atomic
from dptn_cli.io.images import write_image
from dptn_cli.io.locks import Lock
from dptn_cli.io.own_files import foreign_file
from dptn_cli.io.storage import storage_of
from dptn_cli.network.checkpoint import read_checkpoint, save_generator
from dptn_cli.network.generator import Generator
from dptn_cli.types import ImageSpec, ImageU8

LAST = "checkpoint-last.pth"
METRICS = "metrics.jsonl"
MAX_LINE_LENGTH = 1 << 20


class RunFolder:
    """The folder of one run, locked while it is open.

    Args:
        path: the folder; it is created if it does not exist.
        writes: False to read only, as all processes but one do if there are several.

    Raises:
        InputError: the folder cannot be created or written to, another run has locked it, or it
            has metrics of another tool.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self._writes = path, writes
        self._lock: IO[str] | None = None
        self._held: Lock | None = None
        self._log: IO[str] | None = None
        self._scalars: SummaryWriter | None = None
        if writes:
            _check_metrics(path / METRICS)
            make_folder(path)
            with user_errors(path):
                self._lock = (path / ".lock").open("a")
                self._held = Lock(self._lock, path, "dptn train")
                storage_of(self.path).remove_temporary_files(path)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held.release()
        for open_file in (self._scalars, self._log, self._lock):
            if open_file is not None:
                open_file.close()

    def read_state(self) -> dict[str, Any] | None:
        """Read the last checkpoint; return None in a new folder.

        Raises:
            ModelError: the checkpoint exists but cannot be read.
        """
        path = self.path / LAST
        return read_checkpoint(path) if path.exists() else None

    def open_metrics(self, step: int) -> None:
        """Open the metrics for appending, after removing all lines beyond a step.

        A run that was killed may have logged steps after its last checkpoint. They are trained
        and logged again.

        Args:
            step: the step that the run resumes from; 0 for a new run.

        Raises:
            InputError: the metrics cannot be read or written.
        """
        if not self._writes:
            return
        path = self.path / METRICS
        with user_errors(path):
            if path.exists():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
                text = "".join(line for line in lines if _step(line) <= step)
                write_atomic(path, lambda file: file.write(text.encode()))
            self._log = path.open("a", encoding="utf-8")
        self._scalars = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint, once the new one is completely on the disk."""

        def write(file: BinaryIO) -> None:
            torch.save(dict(state), file)
            file.flush()
            # Otherwise a power failure could lose both: the rename may reach the disk first.
            os.fsync(file.fileno())

        self._write(LAST, write)

    def save_discriminator(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the discriminator in the format of a published `*_net_D.pth`."""
        on_cpu = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        self._write("discriminator-last.pth", lambda file: torch.save(on_cpu, file))

    def save_generator(self, version: str, generator: Generator, spec: ImageSpec) -> None:
        """Write `generator-VERSION.pth`."""
        path = self.path / f"generator-{version}.pth"
        if self._writes:
            with user_errors(path):
                save_generator(path, generator, spec)

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        if self._writes:
            with user_errors(self.path / name):
                write_atomic(self.path / name, write)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line of metrics, and add each value to TensorBoard.

        Args:
            step: the step that the values belong to.
            values: numbers by name; TensorBoard groups names like `loss/generator` by the part
                before the slash.
        """
        if self._log is not None:
            with user_errors(self.path / METRICS):
                self._log.write(json.dumps({"step": step, **values}) + "\n")
                self._log.flush()
        if self._scalars is not None:
            for name, value in values.items():
                self._scalars.add_scalar(name, value, step)

    def write_grid(self, step: int, grid_u8: ImageU8) -> None:
        """Write an image grid, (H, W, 3) RGB."""
        if not self._writes:
            return
        write_image(self.path / "grids" / f"step-{step:08d}.png", grid_u8)
        if self._scalars is not None:
            self._scalars.add_image("grid", grid_u8, step, dataformats="HWC")


def _check_metrics(path: Path) -> None:
    """Make sure that dptn wrote a file of metrics, because lines will be removed from it.

    Raises:
        InputError: it has whole lines, and the first of them has no step.
    """
    with user_errors(path):
        if not path.is_file():
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            line = file.readline(MAX_LINE_LENGTH)
    if line.strip() and isinf(_step(line)) and (line.endswith("\n") or not line.startswith("{")):
        raise foreign_file(path, "dptn train", "name another run folder")


def _step(line: str) -> float:
    """Return the step of a line of metrics; infinity if the line is incomplete."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
