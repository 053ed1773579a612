"""From a batch to images; where it fails as a whole, from each of its items alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dptn_cli.errors import ModelError
from dptn_cli.transfer.reader import ReadChunk
from dptn_cli.transfer.settings import BatchRunner
from dptn_cli.transfer.tasks import Task, failed
from dptn_cli.types import ImageU8, Outcome


@dataclass
class Inferred:
    """What became of a batch: outcomes, and images that are to be written."""

    ended: list[Outcome]
    made: list[tuple[Task, ImageU8]] = field(default_factory=list)
    read_s: float = 0.0
    elapsed_s: float = 0.0


def infer(session: BatchRunner, read: ReadChunk) -> Inferred:
    """Run a batch; where that fails, each of its items alone."""
    inferred = Inferred(read.ended, read_s=read.elapsed_s)
    if not read.tasks:
        return inferred
    started_s = time.perf_counter()
    try:
        images: Sequence[ImageU8 | Outcome] = list(session.run(read.batch(range(len(read.tasks)))))
    except ModelError as error:
        alone = len(read.tasks) == 1
        images = [
            failed(read.tasks[0].item, str(error)) if alone else _run_alone(session, read, row)
            for row in range(len(read.tasks))
        ]
    inferred.elapsed_s = time.perf_counter() - started_s
    share = inferred.elapsed_s / len(read.tasks)
    for task, image in zip(read.tasks, images, strict=True):
        if isinstance(image, Outcome):
            inferred.ended.append(image)
        else:
            inferred.made.append((replace(task, elapsed_s=task.elapsed_s + share), image))
    return inferred


def _run_alone(session: BatchRunner, read: ReadChunk, row: int) -> ImageU8 | Outcome:
    try:
        image: ImageU8 = session.run(read.batch([row]))[0]
        return image
    except ModelError as error:
        return failed(read.tasks[row].item, str(error))
