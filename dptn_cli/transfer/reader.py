"""From items to batches: load sources, frame poses, and skip what an earlier run generated."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Arithmetic, Status
from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_crop, decode_size
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import EarlierLookup
from dptn_cli.transfer.framing import (
    FramedPose,
    frame_item_source,
    frame_item_target,
    framing_warnings,
)
from dptn_cli.transfer.tasks import Task, failed_outcome, is_permanent, reason_of
from dptn_cli.transfer.writer import ResultWriter, is_jpeg
from dptn_cli.types import Batch, ImageU8, Item, Job, Outcome, Size

KNOWN_FAILURE = "it failed before with the same inputs"
CHECKED_SOURCES = 1 << 14  # that a dry run remembers, at about 1 kB each


@dataclass
class ReadChunk:
    """A chunk of items after reading: some have ended already, the rest can be put into batches.

    Attributes:
        ended: outcomes of the items that failed or are skipped.
        tasks: the T items to generate.
        sources: their S distinct source images, each (H, W, 3) uint8 at the network's size.
        source_poses: the source poses, each (18, 2) float32, pixels of the network's image.
        source_index: for each task, the position of its source in `sources`.
        elapsed_s: time spent reading, seconds.
    """

    ended: list[Outcome] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    sources: list[ImageU8] = field(default_factory=list)
    source_poses: list[npt.NDArray[np.float32]] = field(default_factory=list)
    source_index: list[int] = field(default_factory=list)
    elapsed_s: float = 0.0

    def batch(self, rows: Sequence[int]) -> Batch:
        """Build a batch of the tasks at the positions `rows`, with only the sources they need."""
        used = sorted({self.source_index[row] for row in rows})
        return Batch(
            sources=np.stack([self.sources[i] for i in used]),
            source_poses=np.stack([self.source_poses[i] for i in used]),
            target_poses=np.stack([self.tasks[row].target_pose for row in rows]),
            source_index=np.array([used.index(self.source_index[row]) for row in rows], np.int64),
        )


class Reader:
    """Turns chunks of items into batches. Used from several threads.

    Args:
        job: the job that the items belong to.
        earlier: returns what an earlier run made of an output.
        writer: the job's writer; once it cannot write, sources are not read any more.
    """

    def __init__(self, job: Job, earlier: EarlierLookup, writer: ResultWriter) -> None:
        self._job, self._earlier, self._writer = job, earlier, writer

    def read(self, items: list[Item]) -> ReadChunk:
        """Read a chunk. An error ends only the items that it affects."""
        started_s = time.perf_counter()
        chunk = ReadChunk()
        for group in _group_by_source(items, chunk.ended):
            try:
                self._read_group(group, chunk)
            except Exception as error:  # a broken file must not end the run
                known = {outcome.output for outcome in chunk.ended}
                known |= {task.item.output for task in chunk.tasks}
                rest = [item for item in group if item.output not in known]
                reason, permanent = reason_of(error), is_permanent(error)
                chunk.ended += [failed_outcome(item, reason, permanent=permanent) for item in rest]
        chunk.elapsed_s = time.perf_counter() - started_s
        share_s = chunk.elapsed_s / max(1, len(chunk.tasks))
        chunk.tasks = [replace(task, elapsed_s=share_s) for task in chunk.tasks]
        return chunk

    def _read_group(self, group: list[Item], chunk: ReadChunk) -> None:
        """Read the items of one source image and pose."""
        if reason := self._writer.stop_reason:
            chunk.ended += [failed_outcome(item, reason, stop_reason=reason) for item in group]
            return
        data = _read_bytes(group[0].source_path)
        source, tasks = plan_tasks(
            self._job, group, _header_size(data), blake2b(data, digest_size=16), chunk.ended
        )
        tasks = skip_ended(tasks, self._earlier, chunk.ended)
        if not tasks:
            return
        try:
            image_u8 = decode_crop(data, source.crop, self._job.model.spec.network_size)
        except InputError as error:
            chunk.ended += _failed_tasks(tasks, error)
            return
        chunk.source_index += [len(chunk.sources)] * len(tasks)
        chunk.sources.append(image_u8)
        chunk.source_poses.append(source.on_network)
        chunk.tasks += tasks


class DryReader:
    """Finds out what `Reader` would do, and keeps no images. Each source is decoded at most once.

    Args:
        job: the job that the items belong to.
        earlier: returns what an earlier run made of an output.
    """

    def __init__(self, job: Job, earlier: EarlierLookup) -> None:
        self._job, self._earlier = job, earlier
        # A source's content is kept until the next one is read. Digests and problems are kept on.
        self._data = lru_cache(maxsize=1)(_read_bytes)
        self._digest_and_size = lru_cache(maxsize=CHECKED_SOURCES)(self._compute_digest_and_size)
        self._decoding_problem = lru_cache(maxsize=CHECKED_SOURCES)(self._find_decoding_problem)

    def read(self, items: list[Item]) -> tuple[list[Outcome], list[Task]]:
        """Return the outcomes of the items that would fail or be skipped, and the other tasks."""
        ended: list[Outcome] = []
        tasks: list[Task] = []
        for group in _group_by_source(items, ended):
            path = group[0].source_path
            try:
                digest, size = self._digest_and_size(path)
                _, planned = plan_tasks(self._job, group, size, digest, ended)
                planned = skip_ended(planned, self._earlier, ended)
                problem = self._decoding_problem(path) if planned else None
            except (InputError, OSError) as error:
                reason, permanent = reason_of(error), is_permanent(error)
                ended += [failed_outcome(item, reason, permanent=permanent) for item in group]
                continue
            if problem:
                ended += _failed_tasks(planned, problem)
            else:
                tasks += planned
        return ended, tasks

    def dry_run_pending(self, item: Item) -> Outcome:
        """Return the outcome of an item whose poses are to be detected: failed, or to generate."""
        images = {item.source: item.source_path}
        if item.target_pose_pending and item.target_path is not None:
            images[item.target] = item.target_path
        for name, path in images.items():
            try:
                problem: Exception | None = self._decoding_problem(path)
            except (InputError, OSError) as error:
                problem = error
            if problem:
                permanent = is_permanent(problem)
                return failed_outcome(item, f"{name}: {reason_of(problem)}", permanent=permanent)
        reason = "poses to be detected"
        return Outcome(item.output, item.source, item.target, Status.DONE, reason)

    def _compute_digest_and_size(self, path: Path) -> tuple[blake2b, Size | None]:
        data = self._data(path)
        return blake2b(data, digest_size=16), _header_size(data)

    def _find_decoding_problem(self, path: Path) -> InputError | None:
        try:
            decode_crop(self._data(path), None, self._job.model.spec.network_size)
        except InputError as error:
            return error
        return None


def _failed_tasks(tasks: list[Task], error: InputError) -> list[Outcome]:
    """End tasks whose source cannot be decoded."""
    permanent = is_permanent(error)
    return [task.to_outcome(Status.FAILED, reason_of(error), permanent=permanent) for task in tasks]


def _read_bytes(path: Path) -> bytes:
    return storage_of(path).read_bytes(path)


def _group_by_source(items: list[Item], ended: list[Outcome]) -> list[list[Item]]:
    """Group items by source image and pose; end those that are known to fail."""
    groups: dict[tuple[str, bytes], list[Item]] = {}
    for item in items:
        if item.failure_reason or item.pose_pending:
            reason = item.failure_reason or "its keypoints are missing"
            ended.append(failed_outcome(item, reason, permanent=bool(item.failure_reason)))
        else:
            key = (str(item.source_path), item.source_pose.tobytes())
            groups.setdefault(key, []).append(item)
    return list(groups.values())


def plan_tasks(
    job: Job, group: list[Item], size: Size | None, content: blake2b, ended: list[Outcome]
) -> tuple[FramedPose, list[Task]]:
    """Frame the poses of one source's items, and compute their fingerprints.

    Args:
        job: the job that the items belong to.
        group: items of one source image and pose.
        size: (height, width) of the source image; None if it is not known.
        content: digest of the source file's content; not changed.
        ended: receives the outcomes of items whose target pose cannot be used.

    Returns:
        The framed source pose, and the remaining items as tasks.

    Raises:
        InputError: the source pose cannot be used.
    """
    source = frame_item_source(group[0], size, job)
    # What all the images of a source depend on; each adds its target pose and its quality.
    common = content.copy()
    common.update(job.model.sha256.encode() + source.on_network.tobytes())
    if source.crop:
        common.update(repr(source.crop).encode())
    if job.arithmetic is not Arithmetic.MODEL:
        common.update(f"arithmetic {job.arithmetic}".encode())
    tasks = []
    for item in group:
        try:
            target = frame_item_target(item, source, job)
        except (InputError, OSError) as error:
            ended.append(failed_outcome(item, reason_of(error), permanent=is_permanent(error)))
            continue
        digest = common.copy()
        digest.update(target.on_network.tobytes())
        if is_jpeg(item.output):
            digest.update(b"jpeg %d" % job.jpeg_quality)
        warnings = framing_warnings(
            source, item.target_pose, size, job.model.spec, job.fit, job.retarget
        )
        tasks.append(Task(item, digest.hexdigest(), target.on_network, warnings=warnings))
    return source, tasks


def skip_ended(tasks: list[Task], earlier: EarlierLookup, ended: list[Outcome]) -> list[Task]:
    """Return the tasks that are still to do, and end those whose end an earlier run has found."""
    rest = []
    for task in tasks:
        status = earlier(task.item.output, task.fingerprint)
        if status is Status.DONE:
            ended.append(task.to_outcome(Status.SKIPPED, "generated by an earlier run"))
        elif status is Status.FAILED:
            ended.append(task.to_outcome(status, KNOWN_FAILURE, permanent=True, known=True))
        else:
            rest.append(task)
    return rest


def _header_size(data: bytes) -> Size | None:
    try:
        return decode_size(data)
    except InputError:
        return None  # decoding will say what is wrong with the file
