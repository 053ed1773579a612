"""Scheduling over workers that die at any time: every item still ends exactly once."""

from collections.abc import Collection, Hashable, Iterator, Sequence
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

Event = tuple[int, Literal["finishes", "dies", "leaves", "returns"]]

NO_JOINTS: Pose = np.full((18, 2), -1, np.float32)
MODEL = Model(Path("m.onnx"), "0" * 64, ImageSpec("tiny", (64, 40), (64, 48)), "fp32", {})


def make_job(count: int) -> Job:
    def items() -> Iterator[Item]:
        for i in range(count):
            yield Item(f"{i}.png", "a", "b", Path("a"), None, NO_JOINTS, NO_JOINTS)

    return Job(MODEL, Path("out"), 75, count, items)


class FakePool:
    """Workers that follow a list of events; once it is used up, all return and finish in order.

    "leaves": the worker is lost and may return. "dies": it is lost for good. A worker that should
    finish a chunk with a guilty item leaves instead.
    """

    def __init__(
        self,
        capacities: Sequence[int],
        events: Sequence[Event],
        guilty: Collection[str] = (),
        *,
        is_blameless: bool = False,
    ) -> None:
        self.workers = [Worker(capacity) for capacity in capacities]
        self.guilty, self.is_blameless = guilty, is_blameless
        self.submitted: list[str] = []
        self._capacities, self._events, self._tickets = capacities, iter(events), count()
        self._away: set[int] = set()

    @property
    def is_lost(self) -> bool:
        return not self._away and not any(worker.capacity for worker in self.workers)

    def submit(self, worker: Worker, items: list[Item]) -> Hashable:
        assert len(worker.pending) < worker.capacity
        self.submitted += [item.output for item in items]
        return next(self._tickets)

    def poll(self) -> Iterator[ChunkDone | WorkerLost]:
        event = next(self._events, None)
        if event is None:
            for number in self._away:
                self.workers[number].capacity = self._capacities[number]
            self._away.clear()
            yield from (self._finish(worker) for worker in self.workers if worker.pending)
            return
        number, action = event[0] % len(self.workers), event[1]
        worker = self.workers[number]
        if action == "finishes" and worker.pending:
            yield self._finish(worker)
        elif action == "returns" and number in self._away:
            self._away.remove(number)
            worker.capacity = self._capacities[number]
        elif action in ("dies", "leaves") and worker.capacity:
            worker.capacity = 0
            self._away |= {number} if action == "leaves" else set()
            yield WorkerLost(worker, "it crashed", self.is_blameless)

    def _finish(self, worker: Worker) -> ChunkDone | WorkerLost:
        ticket, chunk = next(iter(worker.pending.items()))
        if any(item.output in self.guilty for item in chunk.items):
            worker.capacity = 0
            self._away.add(self.workers.index(worker))
            return WorkerLost(worker, "it crashed")
        outcomes = [Outcome(item.output, "a", "b", Status.DONE) for item in chunk.items]
        return ChunkDone(worker, ticket, outcomes, StageSeconds(read=1.0))


events = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["finishes", "finishes", "dies", "leaves", "returns"]),
    ),
    max_size=60,
)


@given(st.integers(0, 40), st.integers(1, 5), st.lists(st.integers(1, 3), min_size=1), events)
def test_every_item_ends_once(
    planned: int, batch_size: int, capacities: list[int], events: list[Event]
) -> None:
    pool, stages = FakePool(capacities, events), StageSeconds()
    scheduler = Scheduler(make_job(planned), pool)
    outcomes = list(scheduler.run(Settings(batch_size=batch_size), stages))
    assert sorted(outcome.output for outcome in outcomes) == sorted(
        f"{i}.png" for i in range(planned)
    )
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    died, no_worker = "its worker died: it crashed", "no worker is left: it crashed"
    assert {outcome.reason for outcome in failed} <= {died, no_worker}
    for outcome in failed:
        assert outcome.stop_reason == ("" if outcome.reason == died else no_worker)
        assert outcome.reason == no_worker or pool.submitted.count(outcome.output) >= 3
        assert outcome.reason == died or pool.is_lost
    if not any(action in ("dies", "leaves") for _, action in events):
        assert not failed
        assert stages.read == -(-planned // batch_size)


@given(st.data(), st.integers(1, 60), st.integers(1, 8), st.lists(st.integers(1, 3), min_size=1))
def test_only_the_guilty_fail(
    data: st.DataObject, planned: int, batch_size: int, capacities: list[int]
) -> None:
    """Items that kill whatever worker holds them, anywhere in the list."""
    names = [f"{i}.png" for i in range(planned)]
    guilty = data.draw(st.sets(st.sampled_from(names), max_size=8))
    pool = FakePool(capacities, [], guilty)
    scheduler = Scheduler(make_job(planned), pool)
    outcomes = list(scheduler.run(Settings(batch_size=batch_size), StageSeconds()))
    assert sorted(outcome.output for outcome in outcomes) == sorted(names)
    assert {o.output for o in outcomes if o.status is Status.FAILED} == guilty
    assert not any(outcome.stop_reason for outcome in outcomes)
    for name in guilty:
        assert pool.submitted.count(name) <= 4, "in its batch, in its batch alone, twice alone"


@given(st.integers(0, 6), events)
def test_nothing_is_submitted_after_a_stop(rounds: int, events: list[Event]) -> None:
    pool = FakePool([2, 2], events)
    calls: list[int] = []
    submitted_at_stop: list[int] = []

    def stop() -> bool:
        calls.append(1)
        if len(calls) > rounds:
            submitted_at_stop.append(len(pool.submitted))
        return len(calls) > rounds

    scheduler = Scheduler(make_job(100), pool)
    outcomes = list(scheduler.run(Settings(batch_size=1, stop=stop), StageSeconds()))
    done = [outcome.output for outcome in outcomes if outcome.status is Status.DONE]
    assert len(set(done)) == len(done)
    assert not any(worker.pending for worker in pool.workers)
    if submitted_at_stop:
        assert len(pool.submitted) == submitted_at_stop[0]
        # All workers may have died before the stop.
        assert all(o.stop_reason for o in outcomes if o.status is Status.FAILED)


def test_an_item_fails_after_too_many_attempts() -> None:
    pool = FakePool([1], [(0, "leaves"), (0, "returns")] * 3)
    outcomes = list(Scheduler(make_job(1), pool).run(Settings(batch_size=1), StageSeconds()))
    assert pool.submitted == ["0.png"] * 3
    assert [outcome.reason for outcome in outcomes] == ["its worker died: it crashed"]


def test_no_item_is_blamed_for_a_gpu_that_is_lost() -> None:
    """However often it happens, the items are tried again; at the end the run stops."""
    events: list[Event] = [(0, "leaves"), (0, "returns")]
    pool = FakePool([2], events * 6 + [(0, "dies")], is_blameless=True)
    outcomes = list(Scheduler(make_job(4), pool).run(Settings(batch_size=2), StageSeconds()))
    assert {outcome.stop_reason for outcome in outcomes} == {"no worker is left: it crashed"}
    assert len(outcomes) == 4


def test_the_worker_with_the_fewest_chunks_gets_the_next() -> None:
    pool = FakePool([3, 3], [])
    running = Scheduler(make_job(4), pool).run(Settings(batch_size=1), StageSeconds())
    next(running)
    assert [len(worker.pending) for worker in pool.workers] == [1, 2]
