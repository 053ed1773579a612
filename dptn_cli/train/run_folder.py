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
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from math import isinf
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import ModelError, RunStopped, user_errors
from dptn_cli.io.files import is_at, make_folder, write_atomic
from dptn_cli.io.images import encode_image
from dptn_cli.io.locks import Lock
from dptn_cli.io.own_files import foreign_file
from dptn_cli.io.storage import storage_of
from dptn_cli.network.checkpoint import FORMAT, read_checkpoint, save_generator
from dptn_cli.network.generator import Generator
from dptn_cli.types import ImageSpec, ImageU8

LAST = "checkpoint-last.pth"
METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
DISCRIMINATOR = "discriminator-last.pth"
GRIDS = "grids"
LOCK = ".lock"
MAX_LINE_LENGTH = 1 << 20


class RunFolder:
    """The folder of one run, locked while it is open.

    Args:
        path: the folder; it is created if it does not exist.
        writes: False to read only, as all processes but one do if there are several.

    Raises:
        InputError: the folder cannot be created or written to, another run has locked it, or it
            has metrics, networks or grids that are not this run's.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self._writes = path, writes
        self._open_files = ExitStack()
        self._lock: IO[str] | None = None
        self._log: FileIO | None = None
        self._scalars: SummaryWriter | None = None
        if writes:
            _check_metrics(path / METRICS)
            _check_other_files(path)
            make_folder(path)
            with user_errors(path):
                self._lock = self._open_files.enter_context((path / LOCK).open("a"))
                self._open_files.callback(Lock(self._lock, path, "dptn train").release)
                storage_of(self.path).remove_temporary_files(path)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        """Close all files.

        Raises:
            RunStopped: the rest of TensorBoard's file cannot be written, and no other error is on
                its way.
        """
        try:
            if self._scalars is not None:
                with self._writing(TENSORBOARD):
                    self._scalars.close()
        except RunStopped:
            if kind is None:
                raise
        finally:
            self._open_files.close()

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
            RunStopped: the metrics cannot be read or written.
        """
        if not self._writes:
            return
        path = self.path / METRICS
        with self._writing(METRICS):
            if path.exists():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
                text = "".join(line for line in lines if _step(line) <= step)
                write_atomic(path, lambda file: file.write(text.encode()))
            self._log = self._open_files.enter_context(FileIO(path, "a"))
        with self._writing(TENSORBOARD):
            self._open_files.enter_context(_quiet_tensorboard())
            self._scalars = SummaryWriter(str(self.path / TENSORBOARD), purge_step=step + 1)

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
        self._write(DISCRIMINATOR, lambda file: torch.save(on_cpu, file))

    def save_generator(self, version: str, generator: Generator, spec: ImageSpec) -> None:
        """Write `generator-VERSION.pth`."""
        name = f"generator-{version}.pth"
        if self._writes:
            with self._writing(name):
                save_generator(self.path / name, generator, spec)

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        if self._writes:
            with self._writing(name):
                write_atomic(self.path / name, write)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line of metrics, and add each value to TensorBoard.

        Args:
            step: the step that the values belong to.
            values: numbers by name; TensorBoard groups names like `loss/generator` by the part
                before the slash.
        """
        if self._log is not None:
            with self._writing(METRICS):
                _append(self._log, json.dumps({"step": step, **values}) + "\n")
        if self._scalars is not None:
            with self._writing(TENSORBOARD):
                for name, value in values.items():
                    self._scalars.add_scalar(name, value, step)

    def write_grid(self, step: int, grid_u8: ImageU8) -> None:
        """Write an image grid, (H, W, 3) RGB."""
        if not self._writes:
            return
        name = f"grids/step-{step:08d}.png"
        content = encode_image(grid_u8, ImageFormat.PNG)
        with self._writing(name):
            (self.path / GRIDS).mkdir(exist_ok=True)
            write_atomic(self.path / name, lambda file: file.write(content))
        if self._scalars is not None:
            with self._writing(TENSORBOARD):
                self._scalars.add_image("grid", grid_u8, step, dataformats="HWC")

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Stop the run if the operating system refuses to write a file of it.

        Args:
            name: the file's name in the folder.

        Raises:
            RunStopped: it refused, or the folder is not the one that was locked any more.
        """
        try:
            self._check_unchanged()
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            kept = "the same command goes on from the last checkpoint"
            if not os.path.exists(self.path / LAST):
                kept = "there is no checkpoint yet, so that the same command starts anew"
            raise RunStopped(
                f"{self.path / name}: {reason}; the run stopped, and {kept}"
            ) from error

    def _check_unchanged(self) -> None:
        """Make sure that what is written now lands beside what was written before.

        Raises:
            OSError: the folder or its metrics were removed, moved or replaced during the run.
        """
        for name, open_file in ((LOCK, self._lock), (METRICS, self._log)):
            if open_file is not None and not is_at(self.path / name, open_file):
                gone = self.path if name == LOCK else self.path / name
                raise OSError(0, f"{gone} was removed, moved or replaced during the run")


def _append(file: FileIO, line: str) -> None:
    """Append a line as a whole, or none of it.

    Raises:
        OSError: the disk refused.
    """
    content = line.encode()
    size = os.fstat(file.fileno()).st_size
    try:
        while content:
            content = content[file.write(content) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(file.fileno(), size)
        raise


@contextmanager
def _quiet_tensorboard() -> Iterator[None]:
    """Keep TensorBoard's thread from printing a traceback if the disk refuses.

    The thread keeps the error, and raises it at the next write.
    """
    previous = threading.excepthook

    def report(failure: threading.ExceptHookArgs) -> None:
        is_tensorboards = type(failure.thread).__module__.startswith("tensorboard.")
        if not (is_tensorboards and isinstance(failure.exc_value, OSError)):
            previous(failure)

    threading.excepthook = report
    try:
        yield
    finally:
        threading.excepthook = previous


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


def _check_other_files(folder: Path) -> None:
    """Make sure that no network or grid that a run would overwrite is from elsewhere.

    A run makes its metrics before any other file, so that a folder without metrics and without a
    checkpoint is not a run's.

    Raises:
        InputError: a file is not this run's.
    """
    with user_errors(folder):
        is_run = (folder / LAST).exists() or (folder / METRICS).exists()
        own_names = {f"generator-{version}.pth" for version in ("last", "last-raw", "best")}
        for pattern in ("generator-*.pth", DISCRIMINATOR, f"{GRIDS}/step-*.png"):
            for path in sorted(folder.glob(pattern)):
                is_written = path.parent.name == GRIDS or path.name in {*own_names, DISCRIMINATOR}
                if is_written and not (is_run and _may_be_own(path)):
                    raise foreign_file(path, "this run", "move it, or name another run folder")


def _may_be_own(path: Path) -> bool:
    """Return whether a file in the folder of a run may be the run's, by its content."""
    if path.suffix != ".pth":
        return path.is_file()
    try:
        content = read_checkpoint(path)
    except ModelError:
        return False
    return path.name == DISCRIMINATOR or content.get("format") == FORMAT


def _step(line: str) -> float:
    """Return the step of a line of metrics; infinity if the line is incomplete."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
