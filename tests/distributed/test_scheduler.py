"""Chunks among workers that die when they like: every item still ends, once."""

from collections.abc import Hashable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.distributed.scheduler import ChunkDone, Scheduler, Worker, WorkerLost
from dptn_cli.enums import Status
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import ImageSpec, Item, Job, Model, Outcome, Pose

Event = tuple[int, Literal["answers", "dies", "goes away", "comes back"]]

NOBODY: Pose = np.full((18, 2), -1, np.float32)
MODEL = Model(Path("m.onnx"), "0" * 64, ImageSpec("tiny", (64, 40), (64, 48)), "fp32", {})


def make_job(count: int) -> Job:
    def items() -> Iterator[Item]:
        for i in range(count):
            yield Item(f"{i}.png", "a", "b", Path("a"), None, NOBODY, NOBODY)

    return Job(MODEL, Path("out"), 75, count, items)


class WorkerPool:
    """Workers who answer, die, go away and come back as told, and then work on in order."""

    def __init__(self, most: Sequence[int], events: Sequence[Event]) -> None:
        self.workers = [Worker(most=each) for each in most]
        self.all_given: list[str] = []
        self._most, self._events, self._tickets = most, iter(events), count()
        self._away: set[int] = set()

    @property
    def is_lost(self) -> bool:
        return not self._away and not any(worker.most for worker in self.workers)

    def give(self, worker: Worker, items: list[Item]) -> Hashable:
        assert len(worker.given) < worker.most
        self.all_given += [item.output for item in items]
        return next(self._tickets)

    def news(self) -> Iterator[ChunkDone | WorkerLost]:
        number, happens = next(self._events, (0, "nothing"))
        if happens == "nothing":
            self._return()
            yield from self._answers()
            return
        number %= len(self.workers)
        worker = self.workers[number]
        if happens == "answers" and worker.given:
            yield self._answer(worker)
        elif happens == "comes back" and number in self._away:
            self._away.remove(number)
            worker.most = self._most[number]
        elif happens in ("dies", "goes away") and worker.most:
            worker.most = 0
            self._away |= {number} if happens == "goes away" else set()
            yield WorkerLost(worker, "it")

    def _return(self) -> None:
        while self._away:
            number = self._away.pop()
            self.workers[number].most = self._most[number]

    def _answers(self) -> Iterator[ChunkDone]:
        for worker in self.workers:
            if worker.given:
                yield self._answer(worker)

    def _answer(self, worker: Worker) -> ChunkDone:
        ticket, chunk = next(iter(worker.given.items()))
        made = [Outcome(item.output, "a", "b", Status.DONE) for item in chunk.items]
        return ChunkDone(worker, ticket, made, StageSeconds(read=1.0))


events = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["answers", "answers", "dies", "goes away", "comes back"]),
    ),
    max_size=60,
)


@given(st.integers(0, 40), st.integers(1, 5), st.lists(st.integers(1, 3), min_size=1), events)
def test_every_item_ends_once(
    planned: int, batch_size: int, most: list[int], events: list[Event]
) -> None:
    crew, stages = WorkerPool(most, events), StageSeconds()
    dispatch = Scheduler(make_job(planned), crew, most_attempts=3)
    outcomes = list(dispatch.run(Settings(batch_size=batch_size), stages))
    assert sorted(one.output for one in outcomes) == sorted(f"{i}.png" for i in range(planned))
    failed = [one for one in outcomes if one.status is Status.FAILED]
    assert {one.reason for one in failed} <= {"lost with it", "nobody is left to make it"}
    for one in failed:
        tries = crew.all_given.count(one.output)
        assert tries == 3 if one.reason == "lost with it" else tries < 3 and crew.is_lost
    if not any(happens in ("dies", "goes away") for _, happens in events):
        assert not failed
        assert stages.read == -(-planned // batch_size)


@given(st.integers(0, 6), events)
def test_after_a_stop_nothing_more_is_begun(rounds: int, events: list[Event]) -> None:
    crew = WorkerPool([2, 2], events)
    asked: list[int] = []
    given_at_stop: list[int] = []

    def stop() -> bool:
        asked.append(1)
        if len(asked) > rounds:
            given_at_stop.append(len(crew.all_given))
        return len(asked) > rounds

    dispatch = Scheduler(make_job(100), crew, most_attempts=9)
    outcomes = list(dispatch.run(Settings(batch_size=1, stop=stop), StageSeconds()))
    ended = [one.output for one in outcomes if one.status is Status.DONE]
    assert len(set(ended)) == len(ended)
    assert not any(worker.given for worker in crew.workers)
    if given_at_stop:
        assert len(crew.all_given) == given_at_stop[0]
        assert {one.status for one in outcomes} <= {Status.DONE}


def test_what_kills_too_often_fails() -> None:
    crew = WorkerPool([1], [(0, "goes away"), (0, "comes back")] * 3)
    outcomes = list(
        Scheduler(make_job(1), crew, most_attempts=3).run(Settings(batch_size=1), StageSeconds())
    )
    assert crew.all_given == ["0.png"] * 3
    assert [one.reason for one in outcomes] == ["lost with it"]


def test_the_one_that_has_least_is_given_the_next() -> None:
    crew = WorkerPool([3, 3], [])
    making = Scheduler(make_job(4), crew, most_attempts=1).run(
        Settings(batch_size=1), StageSeconds()
    )
    next(making)
    assert [len(worker.given) for worker in crew.workers] == [1, 2]
