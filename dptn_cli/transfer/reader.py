"""From items to batches: images, poses, and the fingerprints that tell what was made before."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.io.images import crop_to_network, decode_image, size_of
from dptn_cli.io.storage import read_bytes
from dptn_cli.transfer.framing import FramedPose, frame_source, frame_target
from dptn_cli.transfer.tasks import Task, failed, outcome_of, reason_of
from dptn_cli.transfer.writer import ResultWriter, is_jpeg
from dptn_cli.types import Batch, ImageU8, Item, Job, Outcome, Size


@dataclass
class ReadChunk:
    """A chunk of items after reading: some have ended already, the rest make a batch."""

    ended: list[Outcome] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    sources: list[ImageU8] = field(default_factory=list)
    source_poses: list[npt.NDArray[np.float32]] = field(default_factory=list)
    source_index: list[int] = field(default_factory=list)
    elapsed_s: float = 0.0

    def batch(self, rows: Sequence[int]) -> Batch:
        """The batch of some of the tasks, with no more sources than they need."""
        used = sorted({self.source_index[row] for row in rows})
        return Batch(
            sources=np.stack([self.sources[i] for i in used]),
            source_poses=np.stack([self.source_poses[i] for i in used]),
            target_poses=np.stack([self.tasks[row].target_pose for row in rows]),
            source_index=np.array([used.index(self.source_index[row]) for row in rows], np.int64),
        )


class Reader:
    """Turns chunks of items into batches. Used from several threads."""

    def __init__(self, job: Job, is_done: Callable[[str, str], bool], disk: ResultWriter) -> None:
        self._job, self._holds, self._disk = job, is_done, disk

    def read(self, items: list[Item]) -> ReadChunk:
        """Read a chunk; whatever is wrong with an item ends that item alone."""
        started_s = time.perf_counter()
        read = ReadChunk()
        by_source: dict[tuple[str, bytes], list[Item]] = {}
        for item in items:
            if item.unusable or item.undetected:
                read.ended.append(failed(item, item.unusable or "its keypoints are missing"))
                continue
            key = (str(item.source_path), item.source_pose.tobytes())
            by_source.setdefault(key, []).append(item)
        for group in by_source.values():
            try:
                self._read_source(group, read)
            except Exception as error:  # A stranger's file must not end the run.
                known = {outcome.output for outcome in read.ended}
                known |= {task.item.output for task in read.tasks}
                left = [item for item in group if item.output not in known]
                read.ended += [failed(item, reason_of(error)) for item in left]
        read.elapsed_s = time.perf_counter() - started_s
        share = read.elapsed_s / max(1, len(read.tasks))
        read.tasks = [replace(task, elapsed_s=share) for task in read.tasks]
        return read

    def _read_source(self, group: list[Item], read: ReadChunk) -> None:
        if self._disk.full:
            raise InputError(f"not made: {self._disk.full}")
        data = read_bytes(group[0].source_path)
        spec = self._job.model.spec
        size = _header_size(data) or spec.image_size
        source = frame_source(group[0].source_pose, size, spec, self._job.fit)
        common = blake2b(data, digest_size=16)
        common.update(self._job.model.sha256.encode() + source.on_network.tobytes())
        if source.crop:
            common.update(repr(source.crop).encode())
        tasks = []
        for item in group:
            try:
                task = self._task(item, source, common.copy())
            except (InputError, OSError) as error:
                read.ended.append(failed(item, reason_of(error)))
                continue
            if self._holds(item.output, task.fingerprint):
                read.ended.append(outcome_of(item, Status.SKIPPED, "made before", task))
            else:
                tasks.append(task)
        if tasks:
            image = crop_to_network(decode_image(data), source.crop, spec.network_size)
            read.source_index += [len(read.sources)] * len(tasks)
            read.sources.append(image)
            read.source_poses.append(source.on_network)
            read.tasks += tasks

    def _task(self, item: Item, source: FramedPose, digest: blake2b) -> Task:
        target_pose = frame_target(item, source, self._job).on_network
        digest.update(target_pose.tobytes())
        if is_jpeg(item.output):
            digest.update(b"jpeg %d" % self._job.jpeg_quality)
        return Task(item, digest.hexdigest(), target_pose)


def _header_size(data: bytes) -> Size | None:
    try:
        return size_of(data)
    except InputError:
        return None  # Decoding will say what is wrong with it.
