"""From a batch to pictures; where it fails as a whole, from each of its items alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dptn_cli.errors import ModelError
from dptn_cli.pipeline.reader import ReadChunk
from dptn_cli.pipeline.settings import Runs
from dptn_cli.pipeline.tasks import Task, failed
from dptn_cli.records import Outcome, PictureU8


@dataclass
class Inferred:
    """What became of a batch: outcomes, and pictures that are to be written."""

    ended: list[Outcome]
    made: list[tuple[Task, PictureU8]] = field(default_factory=list)
    read_s: float = 0.0
    elapsed_s: float = 0.0


def infer(session: Runs, read: ReadChunk) -> Inferred:
    """Run a batch; where that fails, each of its items alone."""
    inferred = Inferred(read.ended, read_s=read.elapsed_s)
    if not read.tasks:
        return inferred
    started_s = time.perf_counter()
    try:
        pictures: Sequence[PictureU8 | Outcome] = list(
            session.run(read.batch(range(len(read.tasks))))
        )
    except ModelError as error:
        alone = len(read.tasks) == 1
        pictures = [
            failed(read.tasks[0].item, str(error)) if alone else _run_alone(session, read, row)
            for row in range(len(read.tasks))
        ]
    inferred.elapsed_s = time.perf_counter() - started_s
    share = inferred.elapsed_s / len(read.tasks)
    for task, picture in zip(read.tasks, pictures, strict=True):
        if isinstance(picture, Outcome):
            inferred.ended.append(picture)
        else:
            inferred.made.append((replace(task, elapsed_s=task.elapsed_s + share), picture))
    return inferred


def _run_alone(session: Runs, read: ReadChunk, row: int) -> PictureU8 | Outcome:
    try:
        picture: PictureU8 = session.run(read.batch([row]))[0]
        return picture
    except ModelError as error:
        return failed(read.tasks[row].item, str(error))
