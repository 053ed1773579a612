"""Scheduling a job's chunks over workers that may die: processes, or a Ray cluster's actors.

Nobody knows which of a dead worker's chunks killed it. So each of them is tried again alone, on a
worker that has nothing else; if that dies too, each item of the chunk. Only an item that kills
workers while it is alone fails.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from dptn_cli.transfer.pipeline import chunks_of
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.transfer.tasks import failed_outcome
from dptn_cli.types import Item, Job, Outcome

POLL_S = 1.0  # maximum wait in `WorkerPool.poll`
LONE_ATTEMPTS = 2  # times that an item is tried alone: a machine may die of something else
MAX_RESTARTS = 100  # of a worker that finishes nothing in between
QUEUED_CHUNKS = 2  # per worker, beyond those it runs, so that it never waits for the next one


@dataclass
class Chunk:
    """Items that are sent to a worker together.

    Attributes:
        items: the items.
        is_alone: whether it is retried on a worker that holds no other chunk, because an earlier
            worker died while holding it.
        lone_losses: how often a worker died that held no other chunk.
    """

    items: list[Item]
    is_alone: bool = False
    lone_losses: int = 0


@dataclass(eq=False)
class Worker:
    """The scheduler's view of a process or an actor.

    Attributes:
        capacity: maximum number of chunks that the worker holds at once, queued ones included;
            0 while it takes none.
        pending: chunks submitted and not yet done, by the tickets of `WorkerPool.submit`.
    """

    capacity: int = 0
    pending: dict[Hashable, Chunk] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        """Whether the worker takes one more chunk that need not be alone."""
        is_alone = any(chunk.is_alone for chunk in self.pending.values())
        return len(self.pending) < self.capacity and not is_alone


@dataclass(frozen=True)
class Ready:
    """A worker's answer when its session is open.

    Attributes:
        provider: where the session runs.
        capacity: maximum number of chunks that the worker holds at once.
    """

    provider: str
    capacity: int


@dataclass(frozen=True)
class ChunkDone:
    """The event that a worker has finished a chunk.

    Attributes:
        worker: the worker.
        ticket: the ticket of the chunk, a key of `worker.pending`.
        outcomes: one for each item of the chunk.
        stages: time that each stage took for the chunk.
    """

    worker: Worker
    ticket: Hashable
    outcomes: Sequence[Outcome]
    stages: StageSeconds


@dataclass(frozen=True)
class WorkerLost:
    """The event that a worker has died; its pending chunks are lost.

    Attributes:
        worker: the worker.
        reason: which worker it was and how it ended, such as "an actor has restarted".
        is_blameless: whether no item is the cause, because its GPU does not work any more.
    """

    worker: Worker
    reason: str
    is_blameless: bool = False


class WorkerPool(Protocol):
    """All workers of a job, and the way to reach them."""

    @property
    def workers(self) -> Sequence[Worker]:
        """All workers, dead ones included."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether every worker is dead and none will come back."""
        ...

    def submit(self, worker: Worker, items: list[Item]) -> Hashable:
        """Send a chunk to a worker, without waiting for it.

        Returns:
            A ticket that identifies the chunk. If the worker is dead, `poll` reports that later.
        """
        ...

    def poll(self) -> Iterator[ChunkDone | WorkerLost]:
        """Yield the events since the last call; wait up to `POLL_S` if there are none."""
        ...


class Scheduler:
    """Sends a job's chunks to the workers of a pool, each to the one with the fewest pending.

    If a worker dies, its chunks are retried, one at a time.

    Args:
        job: a checked job, from `transfer.plan.make_job`.
        pool: the workers.
    """

    def __init__(self, job: Job, pool: WorkerPool) -> None:
        self._job, self._pool = job, pool
        self._suspects: deque[Chunk] = deque()  # of dead workers, to be tried alone
        self._queue: deque[Chunk] = deque()  # at most one new chunk, until a worker has room
        self._new_chunks: Iterator[Chunk] = iter(())
        self._last_loss = ""

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Generate every image of the job, in the same chunks as `transfer.pipeline.run`.

        Args:
            settings: `batch_size`, `stop` and `notify` are used; the workers have their own
                `streams`, `workers` and `earlier`.
            stages: the time spent is added to it.

        Yields:
            One outcome for each item, in the order in which they finish. After a stop, chunks
            already submitted still finish; the other items get no outcome. If no worker is left,
            the other items' outcomes have a `stop_reason`.
        """
        chunks = chunks_of(self._job, settings.batch_size)
        self._new_chunks = (Chunk(items) for items in chunks)
        while not settings.stop():
            self._submit_chunks()
            if self._pool.is_lost or not (self._suspects or self._queue or self._is_busy()):
                break
            yield from self._collect(settings, stages)
        while self._is_busy():
            yield from self._collect(settings, stages)
        reason = "no worker is left" + (f": {self._last_loss}" if self._last_loss else "")
        for chunk in chain(self._suspects, self._queue, self._new_chunks):
            for item in chunk.items:
                if settings.stop():
                    return
                yield failed_outcome(item, reason, stop_reason=reason)

    def _is_busy(self) -> bool:
        return any(worker.pending for worker in self._pool.workers)

    def _submit_chunks(self) -> None:
        """Submit chunks until all workers are full or no chunk is left.

        A chunk is queued before a worker is chosen for it, and stays queued if all are full. So an
        empty queue means that every chunk has been submitted.
        """
        kept_free = self._submit_suspects()
        while self._queue or self._queue_new_chunk():
            free = [
                worker
                for worker in self._pool.workers
                if worker.has_room and worker is not kept_free
            ]
            if not free:
                return
            self._submit(self._queue.popleft(), min(free, key=lambda worker: len(worker.pending)))

    def _submit_suspects(self) -> Worker | None:
        """Submit each suspect to an idle worker.

        Returns:
            The worker that is to finish what it has, for the next suspect; None if there is none.
        """
        alive = [worker for worker in self._pool.workers if worker.capacity]
        for worker in alive:
            if self._suspects and not worker.pending:
                chunk = self._suspects.popleft()
                chunk.is_alone = True
                self._submit(chunk, worker)
        if not self._suspects:
            return None
        return min(alive, key=lambda worker: len(worker.pending), default=None)

    def _submit(self, chunk: Chunk, worker: Worker) -> None:
        worker.pending[self._pool.submit(worker, chunk.items)] = chunk

    def _queue_new_chunk(self) -> bool:
        """Take the next new chunk into the queue; return whether there was one."""
        chunk = next(self._new_chunks, None)
        if chunk:
            self._queue.append(chunk)
        return chunk is not None

    def _collect(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Yield the outcomes that the pool reports, and queue the chunks of dead workers again."""
        for event in self._pool.poll():
            if isinstance(event, WorkerLost):
                self._last_loss = event.reason
                settings.notify(f"Lost a worker: {event.reason}")
                yield from self._retry_chunks(event)
            else:
                del event.worker.pending[event.ticket]
                stages.add(event.stages)
                yield from event.outcomes

    def _retry_chunks(self, lost: WorkerLost) -> Iterator[Outcome]:
        chunks, lost.worker.pending = list(lost.worker.pending.values()), {}
        for chunk in chunks:
            if lost.is_blameless:
                self._suspects.append(chunk)
                continue
            chunk.lone_losses += chunk.is_alone
            if chunk.is_alone and len(chunk.items) > 1:
                self._suspects += (Chunk([item]) for item in chunk.items)
            elif chunk.lone_losses < LONE_ATTEMPTS:
                self._suspects.append(chunk)
            else:
                yield from (
                    failed_outcome(item, f"its worker died: {lost.reason}") for item in chunk.items
                )
