"""The same job on several GPUs of one machine: a process for each, one manifest.

The parent plans, gives out chunks of items and keeps the manifest; images never pass between
processes. Each process has a session on its device and makes chunks from reading to writing. A
process that dies costs its chunks another attempt in one that lives.
"""

import multiprocessing
import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from threading import Lock
from typing import Any, cast

from dptn_cli.distributed.scheduler import POLL_S, WAITING, ChunkDone, Scheduler, Worker, WorkerLost
from dptn_cli.enums import Provider
from dptn_cli.errors import DptnError, ExitCode, InputError
from dptn_cli.inference.session import Session, available_cores
from dptn_cli.signals import ignore_interrupts
from dptn_cli.transfer.manifest import done_lookup
from dptn_cli.transfer.pipeline import ChunkMaker
from dptn_cli.transfer.settings import REMOTE_WORKERS, Settings, StageSeconds
from dptn_cli.types import Item, Job, Outcome

MAX_ATTEMPTS = 2  # at a chunk whose process died
BESIDE_INFERENCE = 2  # chunks being read or written while a process's lanes infer
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


class _Process(Worker):
    """The parent's side of a process: how to reach it, and what it was given."""

    def __init__(self, device: int, process: Any, connection: Connection) -> None:
        super().__init__()
        self.device, self.process, self.connection = device, process, connection


class DevicePool:
    """A process for each device, ready to make the chunks of one job.

    Args:
        job: as `transfer.plan.make_job` checked it.
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
        threads = max(1, available_cores() // len(devices))
        self.workers: list[_Process] = []
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
        """Make every image of the job; see `Dispatch.run`."""
        yield from Scheduler(self._job, self, most_attempts=MAX_ATTEMPTS).run(settings, stages)

    @property
    def is_lost(self) -> bool:
        """Whether no process is left."""
        return not any(worker.most for worker in self.workers)

    def give(self, worker: Worker, items: list[Item]) -> int:
        """Send a chunk to a process."""
        self._number += 1
        with suppress(OSError):  # It has died, which waiting for its answer will show.
            cast(_Process, worker).connection.send((self._number, items))
        return self._number

    def news(self) -> Iterator[ChunkDone | WorkerLost]:
        """Wait for processes to answer, or to die."""
        busy = {worker.connection: worker for worker in self.workers if worker.given}
        for connection in wait(list(busy), POLL_S):
            worker = busy[cast(Connection, connection)]
            try:
                number, outcomes, spent = worker.connection.recv()
            except (EOFError, OSError):
                worker.most = 0
                worker.process.join(END_S)
                code = worker.process.exitcode
                yield WorkerLost(worker, f"the process of device {worker.device}, exit code {code}")
            else:
                yield ChunkDone(worker, number, outcomes, spent)


def _started(work: Work) -> _Process:
    # Not forked: CUDA does not survive that.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, work), daemon=True)
    process.start()
    there.close()  # Else a process that dies would not be noticed.
    return _Process(work.device, process, here)


def _greeting(worker: _Process) -> str:
    try:
        provider, problem, worker.most = worker.connection.recv()
    except (EOFError, OSError) as error:
        raise InputError(f"--devices: the process of device {worker.device} ended") from error
    if problem:
        raise InputError(f"--devices: device {worker.device}: {problem}")
    return str(provider)


def _serve(connection: Connection, work: Work) -> None:
    """In a process: make chunks until nobody asks any more."""
    ignore_interrupts()
    try:
        session = Session(work.job.model, work.provider, threads=work.threads, device=work.device)
    except DptnError as error:
        connection.send(("", str(error), 0))
        return
    maker = ChunkMaker(work.job, session, done_lookup(work.job.out, overwrite=work.overwrite))
    beside = REMOTE_WORKERS // 2 if work.job.remote else BESIDE_INFERENCE
    at_once, sending = session.streams + beside, Lock()

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
                requested = connection.recv()
            except (EOFError, OSError):
                threads.shutdown(cancel_futures=True)
                return
            threads.submit(make, *requested)
