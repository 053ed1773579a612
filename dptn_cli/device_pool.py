"""The same job on several GPUs of one machine: a process for each, one manifest.

The parent plans, gives out chunks of items and keeps the manifest; pictures never pass between
processes. Each process has a session on its device and makes chunks from reading to writing. A
process that dies costs its chunks another attempt in one that lives.
"""

import multiprocessing
import os
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from threading import Lock
from typing import Any

from dptn_cli.errors import DptnError, ExitCode, InputError
from dptn_cli.interrupt import ignore_interrupt
from dptn_cli.manifest import holder
from dptn_cli.pipeline import (
    REMOTE_WORKERS,
    ChunkMaker,
    Settings,
    StageSeconds,
    chunks_of,
    failed,
)
from dptn_cli.records import Item, Job, Outcome
from dptn_cli.session import Provider, Session, cores

MOST_ATTEMPTS = 2  # at a chunk whose process died
BESIDE_INFERENCE = 2  # chunks being read or written while a process's lanes infer
WAITING = 2  # further chunks at a process, so that it never waits for the parent
END_S = 10.0


@dataclass(frozen=True)
class Work:
    """What a process is given once.

    Attributes:
        job: without its items.
        provider: of its session.
        overwrite: make everything anew.
        threads: CPU cores to use.
        device: which GPU; without meaning on the CPU.
    """

    job: Job
    provider: Provider
    overwrite: bool
    threads: int
    device: int


@dataclass
class _Chunk:
    items: list[Item]
    attempts: int = 0


@dataclass
class _Worker:
    """The parent's side of a process: how to reach it, and what it was given."""

    device: int
    process: Any
    connection: Connection
    most: int = 0
    given: dict[int, _Chunk] = field(default_factory=dict)


class DevicePool:
    """A process for each device, ready to make the chunks of one job.

    Args:
        job: as `plan.make_job` checked it.
        devices: numbers of GPUs. With the provider `cpu` they are only so many processes, which
            share the cores.
        provider: of the sessions.
        overwrite: make everything anew.

    Attributes:
        provider: where they really run.

    Raises:
        InputError: no session could be opened on one of the devices.
    """

    def __init__(
        self, job: Job, devices: Sequence[int], provider: Provider, *, overwrite: bool
    ) -> None:
        self._job, self._number = job, 0
        threads = max(1, cores() // len(devices))
        self.workers: list[_Worker] = []
        try:
            for device in devices:
                work = Work(job.without_items(), provider, overwrite, threads, device)
                self.workers.append(_started(work))
            self.provider = [_greeting(worker) for worker in self.workers][0]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "DevicePool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.connection.close()  # A process ends when nobody is left to ask it.
        for worker in self.workers:
            worker.process.join(END_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Make every picture of the job: as `pipeline.run`, in the same chunks.

        Args:
            settings: `lanes`, `workers` and `holds` are the processes' own.
            stages: is added to.
        """
        fresh = (_Chunk(items) for items in chunks_of(self._job, settings.batch_size))
        again: deque[_Chunk] = deque()
        while True:
            stopped = settings.stop()
            while (worker := self._idlest()) and (
                chunk := again.popleft() if again else None if stopped else next(fresh, None)
            ):
                self._give(worker, chunk)
            if not any(worker.given for worker in self.workers):
                break
            yield from self._ended(again, stages)
        if not stopped:  # Chunks that are left have no process to make them.
            for chunk in (*again, *fresh):
                yield from (failed(item, "no process is left to make it") for item in chunk.items)

    def _idlest(self) -> _Worker | None:
        idle = [one for one in self.workers if len(one.given) < one.most]
        return min(idle, key=lambda one: len(one.given), default=None)

    def _give(self, worker: _Worker, chunk: _Chunk) -> None:
        self._number += 1
        chunk.attempts += 1
        worker.given[self._number] = chunk
        with suppress(OSError):  # It has died, which waiting for its answer will show.
            worker.connection.send((self._number, chunk.items))

    def _ended(self, again: deque[_Chunk], stages: StageSeconds) -> Iterator[Outcome]:
        """Wait for a process to answer, or to die: its chunks go to `again`, or fail."""
        busy = {worker.connection: worker for worker in self.workers if worker.given}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]
            try:
                number, outcomes, spent = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._lost(worker, again)
                continue
            del worker.given[number]
            stages.add(spent)
            yield from outcomes

    def _lost(self, worker: _Worker, again: deque[_Chunk]) -> Iterator[Outcome]:
        worker.process.join(END_S)
        code = worker.process.exitcode
        chunks, worker.given, worker.most = list(worker.given.values()), {}, 0
        for chunk in chunks:
            if chunk.attempts < MOST_ATTEMPTS:
                again.append(chunk)
                continue
            reason = f"lost with the process of device {worker.device}, exit code {code}"
            yield from (failed(item, reason) for item in chunk.items)


def _started(work: Work) -> _Worker:
    # Not forked: CUDA does not survive that.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, work), daemon=True)
    process.start()
    there.close()  # Else a process that dies would not be noticed.
    return _Worker(work.device, process, here)


def _greeting(worker: _Worker) -> str:
    try:
        provider, problem, worker.most = worker.connection.recv()
    except (EOFError, OSError) as error:
        raise InputError(f"--devices: the process of device {worker.device} ended") from error
    if problem:
        raise InputError(f"--devices: device {worker.device}: {problem}")
    return str(provider)


def _serve(connection: Connection, work: Work) -> None:
    """In a process: make chunks until nobody asks any more."""
    ignore_interrupt()
    try:
        session = Session(work.job.model, work.provider, threads=work.threads, device=work.device)
    except DptnError as error:
        connection.send(("", str(error), 0))
        return
    maker = ChunkMaker(work.job, session, holder(work.job.out, overwrite=work.overwrite))
    beside = REMOTE_WORKERS // 2 if work.job.remote else BESIDE_INFERENCE
    at_once, sending = session.lanes + beside, Lock()

    def make(number: int, items: list[Item]) -> None:
        try:
            outcomes, spent = maker.make(items)
            with sending, suppress(OSError):  # The parent may have gone.
                connection.send((number, outcomes, spent))
        except BaseException:  # A defect: the parent must not wait for what never comes.
            traceback.print_exc()
            os._exit(ExitCode.DEFECT)

    with ThreadPoolExecutor(at_once) as threads:
        connection.send((session.provider, "", at_once + WAITING))
        while True:
            try:
                asked = connection.recv()
            except (EOFError, OSError):
                threads.shutdown(cancel_futures=True)
                return
            threads.submit(make, *asked)
