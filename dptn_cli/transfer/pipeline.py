"""The loop: read ahead, run, write behind. A run's threads are all started here."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice, takewhile
from typing import TypeVar

from dptn_cli.enums import Status
from dptn_cli.transfer.infer import infer
from dptn_cli.transfer.reader import Reader
from dptn_cli.transfer.settings import BatchRunner, Settings, StageSeconds
from dptn_cli.transfer.tasks import outcome_of
from dptn_cli.transfer.writer import ResultWriter
from dptn_cli.types import Item, Job, Outcome

WINDOW = 16  # batches' worth of items among which those of one source are brought together
READ_AHEAD = 3  # batches being read while one runs
WRITE_BEHIND = 3  # batches being written while one runs

T = TypeVar("T")
R = TypeVar("R")


def run(
    job: Job, session: BatchRunner, settings: Settings, stages: StageSeconds | None = None
) -> Iterator[Outcome]:
    """Make every image of a job.

    Args:
        job: as `transfer.plan.make_job` checked it.
        session: makes the images of a batch.
        settings: how.
        stages: is added to, if given.

    Yields:
        One outcome an item, in the order in which they end, until all have or a stop is asked.
    """
    stages = stages or StageSeconds()
    disk = ResultWriter(job)
    writing: deque[Future[tuple[Outcome, float]]] = deque()
    max_writing = (WRITE_BEHIND + settings.streams) * settings.batch_size
    with (
        ThreadPoolExecutor(settings.workers, thread_name_prefix="dptn") as pool,
        ThreadPoolExecutor(settings.streams, thread_name_prefix="dptn-lane") as streams,
    ):
        chunks = chunks_of(job, settings.batch_size)
        reader = Reader(job, settings.is_done, disk)
        max_reading = max(READ_AHEAD + settings.streams, settings.workers // 2 if job.remote else 0)
        reads = _ahead(pool, reader.read, chunks, max_reading)
        wanted = takewhile(lambda _: not settings.stop(), reads)
        for batch in _ahead(streams, partial(infer, session), wanted, settings.streams):
            stages.read += batch.read_s
            stages.infer += batch.elapsed_s
            yield from batch.ended
            writing.extend(pool.submit(disk.write, *one) for one in batch.made)
            while writing and (writing[0].done() or len(writing) > max_writing):
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
        session: makes the images of a batch.
        is_done: as in `Settings`.
    """

    def __init__(self, job: Job, session: BatchRunner, is_done: Callable[[str, str], bool]) -> None:
        self._session, self._disk = session, ResultWriter(job)
        self._reader = Reader(job, is_done, self._disk)

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds]:
        """Make the images of a chunk; one outcome an item."""
        batch = infer(self._session, self._reader.read(items))
        stages = StageSeconds(batch.read_s, batch.elapsed_s)
        outcomes = list(batch.ended)
        for task, image in batch.made:
            outcome, elapsed_s = self._disk.write(task, image)
            stages.write += elapsed_s
            outcomes.append(outcome)
        return outcomes, stages


def chunks_of(job: Job, batch_size: int) -> Iterator[list[Item]]:
    """Chunks of up to `batch_size` items, those of one source next to each other."""
    items = job.items()
    while window := list(islice(items, WINDOW * batch_size)):
        window.sort(key=lambda item: item.source_path)
        for start in range(0, len(window), batch_size):
            yield window[start : start + batch_size]


def preview(job: Job, is_done: Callable[[str, str], bool]) -> Iterator[Outcome]:
    """What `run` would do, without inference: done stands for what would be made."""
    reader = Reader(job, is_done, ResultWriter(job))
    for chunk in chunks_of(job, batch_size=8):
        undetected = [item for item in chunk if item.undetected and not item.unusable]
        yield from (outcome_of(item, Status.DONE, "poses to be detected") for item in undetected)
        read = reader.read([i for i in chunk if i.unusable or not i.undetected])
        yield from read.ended
        yield from (outcome_of(task.item, Status.DONE, task=task) for task in read.tasks)


def items_in_place(job: Job, is_done: Callable[[str, str], bool]) -> Iterator[Item]:
    """The items whose images are there, as the list has them."""
    reader = Reader(job, is_done, ResultWriter(job))
    items = job.items()
    while chunk := list(islice(items, WINDOW)):
        ended = reader.read(chunk).ended
        there = {outcome.output for outcome in ended if outcome.status is Status.SKIPPED}
        yield from (item for item in chunk if item.output in there)


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
