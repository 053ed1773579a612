"""The pipeline: read ahead, infer, write behind. All threads of a run are started here."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice, takewhile

from dptn_cli.enums import Status
from dptn_cli.errors import SessionLost
from dptn_cli.io.threads import map_ahead
from dptn_cli.transfer.earlier_runs import EarlierLookup
from dptn_cli.transfer.infer import InferredChunk, infer
from dptn_cli.transfer.reader import DryReader, ReadChunk, Reader
from dptn_cli.transfer.settings import BatchRunner, Settings, StageSeconds
from dptn_cli.transfer.tasks import failed_outcome
from dptn_cli.transfer.writer import ResultWriter
from dptn_cli.types import Batch, Item, Job, Outcome

WINDOW = 16  # batches' worth of items, among which those of one source are brought together
READ_AHEAD = 3  # batches being read while one is inferred
WRITE_BEHIND = 3  # batches being written while one is inferred
DRY_RUN_CHUNK = 8


def run(
    job: Job, session: BatchRunner, settings: Settings, stages: StageSeconds | None = None
) -> Iterator[Outcome]:
    """Generate every image of a job.

    Args:
        job: as `plan.make_job` returns it.
        session: generates the images of a batch.
        settings: how the job is run.
        stages: receives the time spent in each stage; None to discard it.

    Yields:
        One outcome for each item, in the order in which they end, until all have ended or
        `settings.stop` returns True.
    """
    stages = stages or StageSeconds()
    writer = ResultWriter(job)
    writing: deque[Future[tuple[Outcome, float]]] = deque()
    max_writing = (WRITE_BEHIND + settings.streams) * settings.batch_size
    with (
        ThreadPoolExecutor(settings.workers, thread_name_prefix="dptn") as workers,
        ThreadPoolExecutor(settings.streams, thread_name_prefix="dptn-stream") as streams,
    ):
        chunks = chunks_of(job, settings.batch_size)
        reader = Reader(job, settings.earlier, writer)
        # Behind a URL most workers wait for a read, so half of them read ahead.
        max_reading = max(READ_AHEAD + settings.streams, settings.workers // 2 if job.remote else 0)
        reads = map_ahead(workers, reader.read, chunks, max_reading)
        wanted = takewhile(lambda _: not settings.stop(), reads)
        infer_chunk = partial(_infer_or_stop, session)
        for chunk in map_ahead(streams, infer_chunk, wanted, settings.streams):
            stages.read += chunk.read_s
            stages.infer += chunk.infer_s
            yield from chunk.ended
            writing.extend(workers.submit(writer.write, *pair) for pair in chunk.generated)
            while writing and (writing[0].done() or len(writing) > max_writing):
                yield _wait_for(writing.popleft(), stages)
        for future in writing:
            yield _wait_for(future, stages)
        reads.close()


def _wait_for(future: Future[tuple[Outcome, float]], stages: StageSeconds) -> Outcome:
    outcome, elapsed_s = future.result()
    stages.write += elapsed_s
    return outcome


class ChunkMaker:
    """Generates chunks of a job, from reading to writing, in the caller's threads.

    Args:
        job: the job that the items belong to.
        session: generates the images of a batch.
        earlier: as in `Settings`.
    """

    def __init__(self, job: Job, session: BatchRunner, earlier: EarlierLookup) -> None:
        self._session, self._writer = session, ResultWriter(job)
        self._reader = Reader(job, earlier, self._writer)

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds]:
        """Generate the images of a chunk.

        Returns:
            One outcome for each item, and the time spent in each stage.

        Raises:
            SessionLost: no inference succeeds any more.
        """
        chunk = infer(self._session, self._reader.read(items))
        stages = StageSeconds(chunk.read_s, chunk.infer_s)
        outcomes = list(chunk.ended)
        for task, image in chunk.generated:
            outcome, elapsed_s = self._writer.write(task, image)
            stages.write += elapsed_s
            outcomes.append(outcome)
        return outcomes, stages


def chunks_of(job: Job, batch_size: int) -> Iterator[list[Item]]:
    """Yield chunks of up to `batch_size` items, with those of one source next to each other."""
    items = job.items()
    while window := list(islice(items, WINDOW * batch_size)):
        window.sort(key=lambda item: item.source_path)
        for start in range(0, len(window), batch_size):
            yield window[start : start + batch_size]


def first_batches(job: Job, batch_size: int, max_chunks: int) -> Iterator[Batch]:
    """Read the first chunks of a job, and yield what of them can be generated as batches.

    Args:
        job: the job.
        batch_size: maximum number of targets in a batch.
        max_chunks: maximum number of chunks to read.
    """
    reader = Reader(job, lambda output, fingerprint: None, ResultWriter(job))
    for items in islice(chunks_of(job, batch_size), max_chunks):
        chunk = reader.read(items)
        if chunk.tasks:
            yield chunk.batch(range(len(chunk.tasks)))


def dry_run(job: Job, earlier: EarlierLookup) -> Iterator[Outcome]:
    """Find out what `run` would do, without inference. `DONE` stands for an image to generate."""
    reader = DryReader(job, earlier)
    for chunk in chunks_of(job, DRY_RUN_CHUNK):
        pending = [item for item in chunk if item.pose_pending and not item.failure_reason]
        yield from map(reader.dry_run_pending, pending)
        ended, tasks = reader.read(
            [item for item in chunk if item.failure_reason or not item.pose_pending]
        )
        yield from ended
        yield from (task.to_outcome(Status.DONE) for task in tasks)


def _infer_or_stop(session: BatchRunner, chunk: ReadChunk) -> InferredChunk:
    """Run a chunk as `infer` does; if the session is lost, end its tasks with a stop reason."""
    try:
        return infer(session, chunk)
    except SessionLost as error:
        reason = str(error)
        lost = [failed_outcome(task.item, reason, stop_reason=reason) for task in chunk.tasks]
        return InferredChunk([*chunk.ended, *lost], read_s=chunk.elapsed_s)
