"""A job's chunks, given out to workers that may die: processes, or a cluster's actors."""

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dptn_cli.transfer.pipeline import chunks_of
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.transfer.tasks import failed
from dptn_cli.types import Item, Job, Outcome

POLL_S = 1.0  # for how long a crew may wait for news
WAITING = 2  # chunks that a worker has beyond those it works on, so that it never waits for more


@dataclass
class Chunk:
    """Items that are made together, and how often they were given out."""

    items: list[Item]
    attempts: int = 0


@dataclass(eq=False)
class Worker:
    """What is known of somebody who makes chunks.

    Attributes:
        most: chunks that it takes at once, waiting ones included; 0: it takes none for now.
        given: what it has, by the tickets of its crew.
    """

    most: int = 0
    given: dict[Hashable, Chunk] = field(default_factory=dict)


@dataclass(frozen=True)
class ChunkDone:
    """A chunk was made: one outcome an item."""

    worker: Worker
    ticket: Hashable
    outcomes: Sequence[Outcome]
    spent: StageSeconds


@dataclass(frozen=True)
class WorkerLost:
    """A worker died, and all that it was given is lost.

    Attributes:
        worker: which.
        who: what to call it, and how it ended.
    """

    worker: Worker
    who: str


class WorkerPool(Protocol):
    """The workers of one kind, and the way to them."""

    @property
    def workers(self) -> Sequence[Worker]:
        """All of them, also those that have died."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether no worker is left, and none will come back."""
        ...

    def give(self, worker: Worker, items: list[Item]) -> Hashable:
        """Send a chunk; a ticket to know it by. That the worker has died is told by `news`."""
        ...

    def news(self) -> Iterator[ChunkDone | WorkerLost]:
        """What has happened, after `POLL_S` at most; nothing, perhaps."""
        ...


class Scheduler:
    """Gives a job's chunks to the workers of a crew, each to the one that has the fewest.

    A worker that dies costs its chunks another attempt, by one that lives.

    Args:
        job: as `transfer.plan.make_job` checked it.
        crew: who works.
        most_attempts: at a chunk whose workers die.
    """

    def __init__(self, job: Job, crew: WorkerPool, *, most_attempts: int) -> None:
        self._job, self._crew, self._most_attempts = job, crew, most_attempts
        self._left: deque[Chunk] = deque()
        self._fresh: Iterator[Chunk] = iter(())

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Make every image of the job: as `pipeline.run`, in the same chunks.

        Args:
            settings: `streams`, `workers` and `is_done` are the workers' own.
            stages: is added to.
        """
        self._fresh = (Chunk(items) for items in chunks_of(self._job, settings.batch_size))
        while not (stopped := settings.stop()):
            self._give_out()
            if self._crew.is_lost or not (self._left or self._is_busy()):
                break
            yield from self._take_in(settings, stages)
        while self._is_busy():
            yield from self._take_in(settings, stages)
        if not stopped:
            for chunk in (*self._left, *self._fresh):
                yield from (failed(item, "nobody is left to make it") for item in chunk.items)

    def _is_busy(self) -> bool:
        return any(worker.given for worker in self._crew.workers)

    def _give_out(self) -> None:
        """As much as the workers take; then one chunk is `left`, unless all are given out."""
        while self._left or self._draw():
            free = [one for one in self._crew.workers if len(one.given) < one.most]
            if not free:
                return
            worker, chunk = min(free, key=lambda one: len(one.given)), self._left.popleft()
            chunk.attempts += 1
            worker.given[self._crew.give(worker, chunk.items)] = chunk

    def _draw(self) -> bool:
        chunk = next(self._fresh, None)
        if chunk:
            self._left.append(chunk)
        return chunk is not None

    def _take_in(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        for told in self._crew.news():
            if isinstance(told, WorkerLost):
                settings.notify(f"Lost {told.who}")
                yield from self._lost(told)
                continue
            del told.worker.given[told.ticket]
            stages.add(told.spent)
            yield from told.outcomes

    def _lost(self, loss: WorkerLost) -> Iterator[Outcome]:
        chunks, loss.worker.given = list(loss.worker.given.values()), {}
        for chunk in chunks:
            if chunk.attempts < self._most_attempts:
                self._left.append(chunk)
            else:
                yield from (failed(item, f"lost with {loss.who}") for item in chunk.items)
