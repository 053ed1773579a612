"""The loop: read ahead, batch by source, run, encode and write. The only threads are here."""

import errno
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import islice, takewhile
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError, ModelError
from dptn_cli.files import inside, write_atomic
from dptn_cli.images import (
    Format,
    crop_to_network,
    decode_picture,
    encode_picture,
    fit_to_disk,
    picture_size,
)
from dptn_cli.placing import Placed, source_placed, target_placed
from dptn_cli.records import Batch, Item, Job, Outcome, PictureU8, Size, Status

WINDOW = 16  # batches' worth of items among which those of one source are brought together
READ_AHEAD = 3  # batches being read while one runs
WRITE_BEHIND = 3  # batches being written while one runs

T = TypeVar("T")
R = TypeVar("R")


class Runs(Protocol):
    """What makes the pictures of a batch: `dptn_cli.session.Session`, or a stand-in."""

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """(T, H, W, 3) uint8 RGB; ModelError where it cannot."""
        ...


@dataclass(frozen=True)
class Settings:
    """How a job is run; none of it changes a picture by more than 1 level.

    Attributes:
        batch_size: most targets in one inference.
        lanes: inferences that run at once.
        workers: threads that decode, encode and write.
        holds: whether a picture (output name, fingerprint) need not be made again.
        stop: asked between batches; True ends the run in order.
    """

    batch_size: int = 8
    lanes: int = 1
    workers: int = 2
    holds: Callable[[str, str], bool] = lambda output, fingerprint: False
    stop: Callable[[], bool] = lambda: False


@dataclass
class StageSeconds:
    """Time spent in each stage, summed over its threads, seconds."""

    read: float = 0.0
    infer: float = 0.0
    write: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add what another machine or actor spent."""
        self.read += other.read
        self.infer += other.infer
        self.write += other.write

    def waiting(self, elapsed_s: float, *, lanes: int, workers: int) -> dict[str, float]:
        """Of a run's time, the share in which the threads of a stage had nothing to do.

        Args:
            elapsed_s: of the run.
            lanes: as in `Settings`.
            workers: likewise; reading and writing share them.
        """
        busy = {
            "inference": self.infer / lanes,
            "reading and writing": (self.read + self.write) / workers,
        }
        return {name: max(0.0, 1 - s / max(elapsed_s, 1e-9)) for name, s in busy.items()}


@dataclass(frozen=True)
class _Task:
    """An item that is to be made, with all that its picture depends on."""

    item: Item
    fingerprint: str
    target_pose: npt.NDArray[np.float32]
    elapsed_s: float = 0.0


@dataclass
class _Read:
    """A chunk of items after reading: some have ended already, the rest make a batch."""

    ended: list[Outcome] = field(default_factory=list)
    tasks: list[_Task] = field(default_factory=list)
    sources: list[PictureU8] = field(default_factory=list)
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


@dataclass
class _Inferred:
    """What became of a batch: outcomes, and pictures that are to be written."""

    ended: list[Outcome]
    made: list[tuple[_Task, PictureU8]] = field(default_factory=list)
    read_s: float = 0.0
    elapsed_s: float = 0.0


def run(
    job: Job, session: Runs, settings: Settings, stages: StageSeconds | None = None
) -> Iterator[Outcome]:
    """Make every picture of a job.

    Args:
        job: as `plan.make_job` checked it.
        session: makes the pictures of a batch.
        settings: how.
        stages: is added to, if given.

    Yields:
        One outcome an item, in the order in which they end, until all have or a stop is asked.
    """
    stages = stages or StageSeconds()
    disk = _Disk(job)
    writing: deque[Future[tuple[Outcome, float]]] = deque()
    most_writing = (WRITE_BEHIND + settings.lanes) * settings.batch_size
    with (
        ThreadPoolExecutor(settings.workers, thread_name_prefix="dptn") as pool,
        ThreadPoolExecutor(settings.lanes, thread_name_prefix="dptn-lane") as lanes,
    ):
        chunks = _chunks(job.items(), settings.batch_size)
        reader = _Reader(job, settings.holds, disk)
        reads = _ahead(pool, reader.read, chunks, READ_AHEAD + settings.lanes)
        wanted = takewhile(lambda _: not settings.stop(), reads)
        for batch in _ahead(lanes, partial(_infer, session), wanted, settings.lanes):
            stages.read += batch.read_s
            stages.infer += batch.elapsed_s
            yield from batch.ended
            writing.extend(pool.submit(disk.write, *one) for one in batch.made)
            while writing and (writing[0].done() or len(writing) > most_writing):
                yield _written(writing.popleft(), stages)
        for future in writing:
            yield _written(future, stages)
        reads.close()


def _written(future: Future[tuple[Outcome, float]], stages: StageSeconds) -> Outcome:
    outcome, elapsed_s = future.result()
    stages.write += elapsed_s
    return outcome


class ChunkMaker:
    """Makes chunks of a job from reading to writing, for whoever brings the threads.

    Args:
        job: whose items they are.
        session: makes the pictures of a batch.
        holds: as in `Settings`.
    """

    def __init__(self, job: Job, session: Runs, holds: Callable[[str, str], bool]) -> None:
        self._session, self._disk = session, _Disk(job)
        self._reader = _Reader(job, holds, self._disk)

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds]:
        """Make the pictures of a chunk; one outcome an item."""
        batch = _infer(self._session, self._reader.read(items))
        stages = StageSeconds(batch.read_s, batch.elapsed_s)
        outcomes = list(batch.ended)
        for task, picture in batch.made:
            outcome, elapsed_s = self._disk.write(task, picture)
            stages.write += elapsed_s
            outcomes.append(outcome)
        return outcomes, stages


def chunks_of(job: Job, batch_size: int) -> Iterator[list[Item]]:
    """The chunks in which `run` makes a job's items."""
    return _chunks(job.items(), batch_size)


def failed_chunk(items: Iterable[Item], reason: str) -> Iterator[Outcome]:
    """A chunk that was lost as a whole."""
    return (_failed(item, reason) for item in items)


def preview(job: Job, holds: Callable[[str, str], bool]) -> Iterator[Outcome]:
    """What `run` would do, without inference: done stands for what would be made."""
    reader = _Reader(job, holds, _Disk(job))
    for chunk in _chunks(job.items(), batch_size=8):
        undetected = [item for item in chunk if item.undetected and not item.unusable]
        yield from (_outcome(item, Status.DONE, "poses to be detected") for item in undetected)
        read = reader.read([i for i in chunk if i.unusable or not i.undetected])
        yield from read.ended
        yield from (_outcome(task.item, Status.DONE, task=task) for task in read.tasks)


def _chunks(items: Iterator[Item], batch_size: int) -> Iterator[list[Item]]:
    """Chunks of up to `batch_size` items, those of one source next to each other."""
    while window := list(islice(items, WINDOW * batch_size)):
        window.sort(key=lambda item: item.source_path)
        for start in range(0, len(window), batch_size):
            yield window[start : start + batch_size]


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[T], R], inputs: Iterable[T], ahead: int
) -> Generator[R]:
    """Like map(work, inputs), in order, with `ahead` results being made beforehand."""
    pending: deque[Future[R]] = deque()
    try:
        for value in inputs:
            pending.append(pool.submit(work, value))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


class _Reader:
    """Turns chunks of items into batches. Used from several threads."""

    def __init__(self, job: Job, holds: Callable[[str, str], bool], disk: "_Disk") -> None:
        self._job, self._holds, self._disk = job, holds, disk

    def read(self, items: list[Item]) -> _Read:
        """Read a chunk; whatever is wrong with an item ends that item alone."""
        started_s = time.perf_counter()
        read = _Read()
        by_source: dict[tuple[str, bytes], list[Item]] = {}
        for item in items:
            if item.unusable or item.undetected:
                read.ended.append(_failed(item, item.unusable or "its keypoints are missing"))
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
                read.ended += [_failed(item, _reason(error)) for item in left]
        read.elapsed_s = time.perf_counter() - started_s
        share = read.elapsed_s / max(1, len(read.tasks))
        read.tasks = [replace(task, elapsed_s=share) for task in read.tasks]
        return read

    def _read_source(self, group: list[Item], read: _Read) -> None:
        if self._disk.full:
            raise InputError(f"not made: {self._disk.full}")
        data = group[0].source_path.read_bytes()
        frame = self._job.model.frame
        size = _header_size(group[0]) or frame.image_size
        source = source_placed(group[0].source_pose, size, frame, self._job.fit)
        common = blake2b(data, digest_size=16)
        common.update(self._job.model.sha256.encode() + source.on_network.tobytes())
        if source.crop:
            common.update(repr(source.crop).encode())
        tasks = []
        for item in group:
            try:
                task = self._task(item, source, common.copy())
            except InputError as error:
                read.ended.append(_failed(item, str(error)))
                continue
            if self._holds(item.output, task.fingerprint):
                read.ended.append(_outcome(item, Status.SKIPPED, "made before", task))
            else:
                tasks.append(task)
        if tasks:
            picture = crop_to_network(decode_picture(data), source.crop, frame.network_size)
            read.source_index += [len(read.sources)] * len(tasks)
            read.sources.append(picture)
            read.source_poses.append(source.on_network)
            read.tasks += tasks

    def _task(self, item: Item, source: Placed, digest: blake2b) -> _Task:
        target_pose = target_placed(item, source, self._job)
        digest.update(target_pose.tobytes())
        if _is_jpeg(item.output):
            digest.update(b"jpeg %d" % self._job.jpeg_quality)
        return _Task(item, digest.hexdigest(), target_pose)


def _header_size(item: Item) -> Size | None:
    try:
        return picture_size(item.source_path)
    except InputError:
        return None  # Decoding will say what is wrong with it.


def _infer(session: Runs, read: _Read) -> _Inferred:
    """Run a batch; where that fails, each of its items alone."""
    inferred = _Inferred(read.ended, read_s=read.elapsed_s)
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
            _failed(read.tasks[0].item, str(error)) if alone else _run_alone(session, read, row)
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


def _run_alone(session: Runs, read: _Read, row: int) -> PictureU8 | Outcome:
    try:
        picture: PictureU8 = session.run(read.batch([row]))[0]
        return picture
    except ModelError as error:
        return _failed(read.tasks[row].item, str(error))


class _Disk:
    """Writes results. Used from several threads.

    Attributes:
        full: why nothing more can be written; empty as long as something can.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = job.out.resolve()
        self.full = ""

    def write(self, task: _Task, picture_u8: PictureU8) -> tuple[Outcome, float]:
        """Encode a picture and put it in place; how that ended, and the seconds it took."""
        started_s = time.perf_counter()
        item = task.item
        try:
            picture = fit_to_disk(picture_u8, self._job.model.frame.image_size)
            fmt: Format = "jpg" if _is_jpeg(item.output) else "png"
            content = encode_picture(picture, fmt, self._job.jpeg_quality)
            path = inside(self._out, item.output)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, lambda file: file.write(content))
        except (OSError, InputError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.full = f"{self._out}: {error.strerror}"
            reason = f"cannot be written: {_reason(error)}"
            return _failed(item, reason), time.perf_counter() - started_s
        elapsed_s = time.perf_counter() - started_s
        task = replace(task, elapsed_s=task.elapsed_s + elapsed_s)
        return _outcome(item, Status.DONE, task=task), elapsed_s


def _is_jpeg(output: str) -> bool:
    return PurePosixPath(output).suffix.lower() in (".jpg", ".jpeg")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "the source picture is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _failed(item: Item, reason: str) -> Outcome:
    return _outcome(item, Status.FAILED, reason)


def _outcome(item: Item, status: Status, reason: str = "", task: _Task | None = None) -> Outcome:
    return Outcome(
        output=item.output,
        source=item.source,
        target=item.target,
        status=status,
        reason=reason,
        fingerprint=task.fingerprint if task else "",
        elapsed_s=task.elapsed_s if task else 0.0,
    )
