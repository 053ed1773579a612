"""From images to files that appear whole or not at all."""

import errno
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dptn_cli.enums import ImageFormat, Status
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import join_inside, write_atomic
from dptn_cli.io.images import encode_image
from dptn_cli.io.resize import resize_to_disk
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.tasks import Task, failed_outcome, reason_of
from dptn_cli.types import ImageU8, Job, Outcome

# What no other file would fare better with: no space, quota, read-only, a disk or share gone.
HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE}


class ResultWriter:
    """Writes results. Used from several threads.

    Args:
        job: the job whose results are written.

    Attributes:
        stop_reason: why nothing more can be written; empty as long as something can.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = job.out.resolve()
        self._identity = self._identify()
        self.stop_reason = ""

    def write(self, task: Task, image_u8: ImageU8) -> tuple[Outcome, float]:
        """Encode an image and write it under its final name.

        Args:
            task: the task whose result it is.
            image_u8: (H, W, 3) uint8 RGB at the network's size.

        Returns:
            The task's outcome, and the seconds that encoding and writing took.
        """
        started_s = time.perf_counter()
        item = task.item
        try:
            image_u8 = resize_to_disk(image_u8, self._job.model.spec.image_size)
            image_format = ImageFormat.JPG if is_jpeg(item.output) else ImageFormat.PNG
            content = encode_image(image_u8, image_format, self._job.jpeg_quality)
            self._check_folder()
            path = join_inside(self._out, item.output)
            self._make_subfolder(path.parent)
            write_atomic(path, lambda file: self._write(file, content))
        except (OSError, InputError) as error:
            if isinstance(error, OSError):
                self.stop_reason = self.stop_reason or self._why_all_would_fail(error)
            reason = f"cannot be written: {reason_of(error)}"
            ended = failed_outcome(item, reason, stop_reason=self.stop_reason)
            return ended, time.perf_counter() - started_s
        elapsed_s = time.perf_counter() - started_s
        timed = replace(task, elapsed_s=task.elapsed_s + elapsed_s)
        return timed.to_outcome(Status.DONE), elapsed_s

    def _write(self, file: BinaryIO, content: bytes) -> None:
        """Write an image, and make sure that it gets its final name in the run's own folder."""
        file.write(content)
        self._check_folder()

    def _identify(self) -> tuple[int, int] | None:
        """Return what stays the same as long as the results folder does; None behind a URL."""
        if storage_of(self._out).is_remote:
            return None
        try:
            status = os.stat(self._out)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_folder(self) -> None:
        """Make sure that the results folder is the one that the run began with."""
        if self._identity and self._identify() != self._identity:
            raise OSError(errno.ESTALE, "the results folder was removed or replaced")

    def _make_subfolder(self, folder: Path) -> None:
        """Create a folder below the results folder, but not that itself: it may be gone."""
        if storage_of(folder).is_remote:
            return
        path = self._out
        for part in folder.relative_to(self._out).parts:
            path /= part
            with suppress(FileExistsError):
                path.mkdir()

    def _why_all_would_fail(self, error: OSError) -> str:
        """Return why no other result could be written either; empty if one could."""
        if error.errno in HOPELESS:
            return f"{self._out}: {error.strerror}"
        if self._identity is None:
            return ""
        try:
            with user_errors(self._out):
                self._check_folder()
            storage_of(self._out).check_writable(self._out)
        except InputError as problem:
            return str(problem)
        return ""


def is_jpeg(output: str) -> bool:
    """Return whether a result of this name is a JPEG."""
    return PurePosixPath(output).suffix.lower() in (".jpg", ".jpeg")
