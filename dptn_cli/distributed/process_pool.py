"""One job on several GPUs of one machine: a process for each GPU, one manifest.

The parent plans, sends chunks of items to the processes and writes the manifest. Each process
opens a session on its device, reads the images of its chunks and writes the results: images
never pass between processes. A process that dies is started again, and its chunks are retried.
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

from dptn_cli.distributed.orphans import end_with_parent
from dptn_cli.distributed.scheduler import (
    MAX_RESTARTS,
    POLL_S,
    QUEUED_CHUNKS,
    ChunkDone,
    Ready,
    Scheduler,
    Worker,
    WorkerLost,
)
from dptn_cli.enums import Provider
from dptn_cli.errors import DptnError, ExitCode, InputError, SessionLost
from dptn_cli.inference.session import Session
from dptn_cli.processor import available_cores
from dptn_cli.signals import ignore_interrupts
from dptn_cli.transfer.earlier_runs import read_earlier_runs
from dptn_cli.transfer.pipeline import ChunkMaker
from dptn_cli.transfer.settings import REMOTE_WORKERS, Settings, StageSeconds
from dptn_cli.types import Failure, Item, Job, Outcome

IO_CHUNKS = 2  # chunks that a process reads or writes while its session is busy
JOIN_TIMEOUT_S = 10.0
MAX_FAILED_STARTS = 3  # in a row, after which a process is not started again


@dataclass(frozen=True)
class WorkerSetup:
    """The job of a process, and its share of the machine.

    Attributes:
        job: the job, without its items.
        provider: where the process's session runs.
        overwrite: whether to generate images again that already exist.
        retry_failed: whether to try items again that failed before with the same inputs.
        threads: number of CPU cores to use.
        device: number of the GPU, from 0, or OpenVINO's name of a device; numbers are ignored on
            the CPU.
    """

    job: Job
    provider: Provider
    overwrite: bool
    retry_failed: bool
    threads: int
    device: int | str


class _ProcessWorker(Worker):
    """The parent's side of a process.

    Args:
        setup: what the process is given.

    Attributes:
        device: number of its GPU, or OpenVINO's name of its device.
        is_starting: whether its session is being opened.
        failure: why it cannot work, in its own words; empty if it has said nothing.
        deaths: how often it died since it finished a chunk.
        failed_starts: how often it died since it was last ready.
    """

    process: Any
    connection: Connection

    def __init__(self, setup: WorkerSetup) -> None:
        super().__init__()
        self._setup, self.device = setup, setup.device
        self.deaths = self.failed_starts = 0
        self.start()

    def start(self) -> None:
        """Start the process; it takes no chunks until it has answered that it is ready."""
        # Spawned, because a CUDA context does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, child_end = context.Pipe()
        self.process = context.Process(
            target=_run_worker, args=(child_end, self._setup), daemon=True
        )
        self.process.start()
        # While the parent holds the child's end open, it gets no EOF when the process dies.
        child_end.close()
        self.capacity, self.is_starting, self.failure = 0, True, ""

    def receive(self) -> tuple[int, list[Outcome], StageSeconds] | None:
        """Receive the result of a chunk; None for any other message.

        Raises:
            EOFError: the process has died.
            OSError: the same.
        """
        message = self.connection.recv()
        if isinstance(message, Ready):
            self.capacity, self.is_starting, self.failed_starts = message.capacity, False, 0
            return None
        if isinstance(message, Failure):  # it ends now
            self.failure = message.reason
            return None
        self.deaths = 0
        ended: tuple[int, list[Outcome], StageSeconds] = message
        return ended

    @property
    def may_start(self) -> bool:
        """Whether to start it again: what has said why it cannot work would say so again."""
        is_hopeful = self.deaths <= MAX_RESTARTS and self.failed_starts < MAX_FAILED_STARTS
        return is_hopeful and not self.failure

    def reap(self) -> str:
        """Wait until the process has ended, after its connection has; return how it ended."""
        self.deaths += 1
        self.failed_starts += self.is_starting
        self.capacity, self.is_starting = 0, False
        self.process.join(JOIN_TIMEOUT_S)
        words = f": {self.failure}" if self.failure else ""
        return (
            f"the process on device {self.device} exited with code {self.process.exitcode}{words}"
        )


class ProcessPool:
    """One process for each device, all ready to run chunks of one job.

    Args:
        job: a checked job, from `transfer.plan.make_job`.
        devices: numbers of the GPUs, from 0, or OpenVINO's names of devices. For the providers
            `cpu` and `openvino` only the count of numbers matters: that many processes share the
            CPU's cores.
        provider: where the sessions run.
        overwrite: whether to generate images again that already exist.
        retry_failed: whether to try items again that failed before with the same inputs.

    Attributes:
        workers: one for each device, in the same order.
        provider: where the sessions really run.

    Raises:
        InputError: no session could be opened on one of the devices.
    """

    def __init__(
        self,
        job: Job,
        devices: Sequence[int | str],
        provider: Provider,
        *,
        overwrite: bool,
        retry_failed: bool = False,
    ) -> None:
        self._job, self._last_ticket = job, 0
        self.provider = ""
        self.workers: list[_ProcessWorker] = []
        threads = max(1, available_cores() // len(devices))
        try:
            for device in devices:
                setup = WorkerSetup(
                    job.without_items(), provider, overwrite, retry_failed, threads, device
                )
                self.workers.append(_ProcessWorker(setup))
            for worker in self.workers:
                self.provider = _wait_until_ready(worker)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.connection.close()  # ends the loop of `_run_worker`
        for worker in self.workers:
            worker.process.join(JOIN_TIMEOUT_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Generate every image of the job; see `Scheduler.run`."""
        yield from Scheduler(self._job, self).run(settings, stages)

    @property
    def is_lost(self) -> bool:
        """Whether every process is dead and none is started again."""
        return not any(worker.capacity or worker.is_starting for worker in self.workers)

    def submit(self, worker: Worker, items: list[Item]) -> int:
        """Send a chunk to a process; return its ticket."""
        self._last_ticket += 1
        with suppress(OSError):  # The process is dead; `poll` will report it.
            cast(_ProcessWorker, worker).connection.send((self._last_ticket, items))
        return self._last_ticket

    def poll(self) -> Iterator[ChunkDone | WorkerLost]:
        """Wait up to `POLL_S` for processes to finish a chunk, to get ready or to die."""
        awaited = {
            worker.connection: worker
            for worker in self.workers
            if worker.pending or worker.is_starting
        }
        for connection in wait(list(awaited), POLL_S):
            worker = awaited[cast(Connection, connection)]
            try:
                ended = worker.receive()
            except (EOFError, OSError):
                reason, is_blameless = worker.reap(), bool(worker.failure)
                if worker.may_start:
                    worker.start()
                yield WorkerLost(worker, reason, is_blameless)
            else:
                if ended:
                    yield ChunkDone(worker, *ended)


def _wait_until_ready(worker: _ProcessWorker) -> str:
    """Wait until a process has opened its session; return the provider that it runs on."""
    try:
        answer: Ready | Failure = worker.connection.recv()
    except (EOFError, OSError) as error:
        raise InputError(f"--devices: the process on device {worker.device} died") from error
    if isinstance(answer, Failure):
        raise InputError(f"--devices: device {worker.device}: {answer.reason}")
    worker.capacity, worker.is_starting = answer.capacity, False
    return answer.provider


def _run_worker(connection: Connection, setup: WorkerSetup) -> None:
    """Run chunks in a process until the parent closes the connection."""
    ignore_interrupts()
    end_with_parent()
    try:
        session = Session(
            setup.job.model,
            setup.provider,
            arithmetic=setup.job.arithmetic,
            threads=setup.threads,
            device=setup.device,
        )
        earlier = read_earlier_runs(setup.job.out).lookup(
            overwrite=setup.overwrite, retry_failed=setup.retry_failed
        )
    except DptnError as error:
        connection.send(Failure(str(error)))
        return
    maker = ChunkMaker(setup.job, session, earlier)
    io_chunks = REMOTE_WORKERS // 2 if setup.job.remote else IO_CHUNKS
    concurrent_chunks = session.streams + io_chunks
    send_lock = Lock()

    def run_chunk(ticket: int, items: list[Item]) -> None:
        try:
            outcomes, stages = maker.make(items)
            with send_lock, suppress(OSError):  # The parent may be gone.
                connection.send((ticket, outcomes, stages))
        except SessionLost as error:
            with send_lock, suppress(OSError):
                connection.send(Failure(str(error)))
            os._exit(ExitCode.UNUSABLE)
        except BaseException:  # A defect. End the process, or the parent would wait forever.
            traceback.print_exc()
            os._exit(ExitCode.DEFECT)

    with ThreadPoolExecutor(concurrent_chunks) as threads:
        connection.send(Ready(session.provider, concurrent_chunks + QUEUED_CHUNKS))
        while True:
            try:
                ticket, items = connection.recv()
            except (EOFError, OSError):
                threads.shutdown(cancel_futures=True)
                return
            threads.submit(run_chunk, ticket, items)
