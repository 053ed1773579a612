"""From images to files that are never seen half written."""

import errno
import time
from dataclasses import replace
from pathlib import PurePosixPath

from dptn_cli.enums import ImageFormat, Status
from dptn_cli.errors import InputError
from dptn_cli.io.files import safe_join, write_atomic
from dptn_cli.io.images import encode_image, fit_to_disk
from dptn_cli.io.paths import is_remote
from dptn_cli.transfer.tasks import Task, failed, outcome_of, reason_of
from dptn_cli.types import ImageU8, Job, Outcome


class ResultWriter:
    """Writes results. Used from several threads.

    Attributes:
        full: why nothing more can be written; empty as long as something can.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = job.out.resolve()
        self.full = ""

    def write(self, task: Task, image_u8: ImageU8) -> tuple[Outcome, float]:
        """Encode an image and put it in place; how that ended, and the seconds it took."""
        started_s = time.perf_counter()
        item = task.item
        try:
            image = fit_to_disk(image_u8, self._job.model.spec.image_size)
            fmt = ImageFormat.JPG if is_jpeg(item.output) else ImageFormat.PNG
            content = encode_image(image, fmt, self._job.jpeg_quality)
            path = safe_join(self._out, item.output)
            if not is_remote(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, lambda file: file.write(content))
        except (OSError, InputError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.full = f"{self._out}: {error.strerror}"
            reason = f"cannot be written: {reason_of(error)}"
            return failed(item, reason), time.perf_counter() - started_s
        elapsed_s = time.perf_counter() - started_s
        task = replace(task, elapsed_s=task.elapsed_s + elapsed_s)
        return outcome_of(item, Status.DONE, task=task), elapsed_s


def is_jpeg(output: str) -> bool:
    """Whether a result of this name is a JPEG."""
    return PurePosixPath(output).suffix.lower() in (".jpg", ".jpeg")
