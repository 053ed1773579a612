"""From a batch to images. If a batch fails as a whole, each of its items is tried alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dptn_cli.errors import ModelError
from dptn_cli.io.resize import resize_to_disk
from dptn_cli.transfer.framing import FramedPose
from dptn_cli.transfer.reader import ReadChunk
from dptn_cli.transfer.settings import BatchRunner
from dptn_cli.transfer.tasks import Task, failed_outcome
from dptn_cli.types import Batch, ImageU8, Outcome, Size


@dataclass
class InferredChunk:
    """A chunk of items after inference.

    Attributes:
        ended: outcomes of the items that failed or are skipped.
        generated: the other tasks with their images, (H, W, 3) uint8 RGB at the network's size.
        read_s: time spent reading, seconds.
        infer_s: time spent in inference, seconds.
    """

    ended: list[Outcome]
    generated: list[tuple[Task, ImageU8]] = field(default_factory=list)
    read_s: float = 0.0
    infer_s: float = 0.0


def infer(session: BatchRunner, chunk: ReadChunk) -> InferredChunk:
    """Run the batch of a chunk; if that fails, run each of its items alone.

    Raises:
        SessionLost: no inference succeeds any more.
    """
    inferred = InferredChunk(chunk.ended, read_s=chunk.elapsed_s)
    if not chunk.tasks:
        return inferred
    started_s = time.perf_counter()
    generated: list[tuple[Task, ImageU8]] = []
    try:
        images = session.run(chunk.batch(range(len(chunk.tasks))))
        generated = list(zip(chunk.tasks, images, strict=True))
    except ModelError as error:
        if len(chunk.tasks) == 1:
            inferred.ended.append(failed_outcome(chunk.tasks[0].item, str(error)))
        else:
            generated = _run_alone(session, chunk, inferred.ended)
    inferred.infer_s = time.perf_counter() - started_s
    share_s = inferred.infer_s / len(chunk.tasks)
    inferred.generated = [
        (replace(task, elapsed_s=task.elapsed_s + share_s), image) for task, image in generated
    ]
    return inferred


def infer_targets(
    session: BatchRunner,
    cropped_u8: ImageU8,
    source: FramedPose,
    targets: Sequence[FramedPose],
    image_size: Size,
) -> list[ImageU8]:
    """Generate the person of one source image in some poses, in one batch.

    Args:
        session: the session.
        cropped_u8: what the network is shown of the source image, (H, W, 3) uint8 RGB at the
            network's size.
        source: the source pose.
        targets: the T target poses.
        image_size: (height, width) of the model's images on disk, pixels.

    Returns:
        T images of that size, each (height, width, 3) uint8 RGB.

    Raises:
        SessionLost: no inference succeeds any more.
        ModelError: this inference failed.
    """
    batch = Batch(
        sources=cropped_u8[None],
        source_poses=source.on_network[None],
        target_poses=np.stack([target.on_network for target in targets]),
        source_index=np.zeros(len(targets), np.int64),
    )
    return [resize_to_disk(image_u8, image_size) for image_u8 in session.run(batch)]


def _run_alone(
    session: BatchRunner, chunk: ReadChunk, ended: list[Outcome]
) -> list[tuple[Task, ImageU8]]:
    generated: list[tuple[Task, ImageU8]] = []
    for row, task in enumerate(chunk.tasks):
        try:
            generated.append((task, session.run(chunk.batch([row]))[0]))
        except ModelError as error:
            ended.append(failed_outcome(task.item, str(error)))
    return generated
