"""The same job on a Ray cluster: actors that hold sessions, fed by the one process that plans.

Chunks of items, names and poses, go to the actors; outcomes come back; images never travel:
they are read from and written to a path that all nodes share, or a URL. The driver alone writes the
manifest. What an actor that dies was given goes to others, and Ray starts it again, on another
node if need be; results are put in place whole, so making one twice does no harm.
"""

import logging
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import RayError, RayTaskError

from dptn_cli.distributed.scheduler import POLL_S, WAITING, ChunkDone, Scheduler, Worker, WorkerLost
from dptn_cli.enums import Provider
from dptn_cli.errors import DptnError, InputError, ModelError
from dptn_cli.inference.session import Session
from dptn_cli.io.results_folder import TEMPORARY_PREFIX
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.manifest import done_lookup
from dptn_cli.transfer.pipeline import ChunkMaker
from dptn_cli.transfer.settings import REMOTE_WORKERS, Settings, StageSeconds
from dptn_cli.transfer.tasks import failed
from dptn_cli.types import Item, Job, Outcome

MAX_ATTEMPTS = 4  # at a chunk whose actors died
MAX_RESTARTS = 100  # of an actor: nodes come and go, but one that cannot live must end
AT_ONCE = 3  # chunks in an actor: one is read and one written while one is inferred
KNOCK_TIMEOUT_S = 10.0
TOGETHER_S = 5.0  # that the first actor waits for the others, so that they can be counted


@dataclass(frozen=True)
class Work:
    """What an actor is given once.

    Attributes:
        job: without its items.
        provider: of its session.
        overwrite: make everything anew.
        mark: a file that the driver put into the results folder; None where that is a URL.
    """

    job: Job
    provider: Provider
    overwrite: bool
    mark: Path | None


class Maker:
    """What an actor holds: once greeted, a session and what makes chunks with it.

    It reads the manifest itself, which may be large.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._maker = work, cast(ChunkMaker | None, None)

    @ray.method(max_task_retries=-1)
    def greet(self, model: bytes) -> tuple[str, str]:
        """Get ready; asked of an actor until it is there.

        Args:
            model: content of the ONNX file, so that no node needs it. Not an argument of the
                actor's own: it might be gone when the actor starts again.

        Returns:
            Where it really runs, and why it cannot.
        """
        try:
            session = self._session(model)
            made = done_lookup(self._work.job.out, overwrite=self._work.overwrite)
        except DptnError as error:
            return "", f"node {socket.gethostname()}: {error}"
        self._maker = ChunkMaker(self._work.job, session, made)
        return session.provider, ""

    def _session(self, model: bytes) -> Session:
        if self._work.mark and not self._work.mark.is_file():
            raise InputError(
                f"the driver's {self._work.job.out} is not there; with --ray, paths must be "
                "shared by all nodes under one name, or be URLs"
            )
        # More threads than Ray gave cores would fight the other actors for theirs.
        given = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        threads = max(1, int(given.get("CPU", 1)))
        return Session(
            self._work.job.model, self._work.provider, 1, threads=threads, model_bytes=model
        )

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds] | None:
        """Make a chunk; one outcome an item. None: the actor has started again, ungreeted."""
        return self._maker.make(items) if self._maker else None


class _Actor(Worker):
    """The driver's side of an actor.

    Attributes:
        handle: Ray's.
        coming: its greeting, while that is waited for.
    """

    def __init__(self, handle: Any) -> None:
        super().__init__()
        self.handle = handle
        self.coming: Any = None

    def call(self, model: Any) -> None:
        """Wait until it is there, or there again."""
        self.most, self.coming = 0, self.handle.greet.remote(model)


class RayPool:
    """Actors of a cluster, ready to make the chunks of one job.

    Args:
        job: as `transfer.plan.make_job` checked it; its paths must be the same on every node,
            its URLs open to each.
        address: of a running cluster; `auto`: the one of this node; `local`: one started here.
        provider: of the actors' sessions.
        overwrite: make everything anew.

    Attributes:
        workers: one for each GPU, or for each CPU where there are none. Those that are not there
            yet join when Ray has found a place for them.
        provider: where they really run.
        problem: why an actor could not be started; empty where all were.

    Raises:
        InputError: no such cluster, or no actor can be started.
    """

    def __init__(self, job: Job, address: str, provider: Provider, *, overwrite: bool) -> None:
        self._job, self.provider, self.problem = job, "", ""
        self._most = _at_once(job) + WAITING
        self._mark = None if storage_of(job.out).is_remote else _mark(job.out)
        try:
            _knock(address)
            _connect(address)
            self._model = ray.put(_content(job))
            mark = Path(self._mark.name).resolve() if self._mark else None
            work = Work(job.without_items(), provider, overwrite, mark)
            self.workers = [_Actor(handle) for handle in _start_actors(work)]
            self._meet()
        except (RayError, OSError, ValueError) as error:
            self.close()
            raise InputError(f"--ray {address}: {_first_line(error)}") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the actors."""
        ray.shutdown()
        if self._mark:
            with suppress(OSError):  # Somebody removed it, or the disk is away: nothing to end for.
                self._mark.close()

    @property
    def ready(self) -> int:
        """How many actors take chunks."""
        return sum(worker.most > 0 for worker in self.workers)

    @property
    def is_lost(self) -> bool:
        """Whether no actor is left, and none will come back."""
        return not any(worker.most or worker.coming for worker in self.workers)

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Make every image of the job; see `Dispatch.run`."""
        yield from Scheduler(self._job, self, most_attempts=MAX_ATTEMPTS).run(settings, stages)

    def give(self, worker: Worker, items: list[Item]) -> Any:
        """Send a chunk to an actor."""
        return cast(_Actor, worker).handle.make.remote(items)

    def news(self) -> Iterator[ChunkDone | WorkerLost]:
        """Wait for actors to answer, to come or to die."""
        at = {ticket: worker for worker in self.workers for ticket in worker.given}
        at |= {worker.coming: worker for worker in self.workers if worker.coming}
        for ref in _ended(list(at), POLL_S):
            worker = at[ref]
            if ref is worker.coming:
                self._greet(worker)
            elif ref in worker.given:  # and not lost with one that ended before it
                yield self._told(worker, ref)

    def _told(self, worker: _Actor, ticket: Any) -> ChunkDone | WorkerLost:
        try:
            made = ray.get(ticket)
        except RayTaskError as error:  # a defect, from which the actor lives on
            reason = f"{type(error.cause).__name__}: {error.cause}"
            outcomes = [failed(item, reason) for item in worker.given[ticket].items]
            return ChunkDone(worker, ticket, outcomes, StageSeconds())
        except RayError as error:
            worker.call(self._model)
            return WorkerLost(worker, f"an actor: {_first_line(error)}")
        if made is None:
            worker.call(self._model)
            return WorkerLost(worker, "an actor, which has started again")
        return ChunkDone(worker, ticket, *made)

    def _greet(self, worker: _Actor) -> None:
        try:
            provider, problem = ray.get(worker.coming)
        except RayError as error:
            provider, problem = "", _first_line(error)
        if problem:
            self.problem = problem
        else:
            self.provider, worker.most = provider, self._most
        worker.coming = None

    def _meet(self) -> None:
        """Greet all, and wait for the first, but not for long for the rest."""
        for worker in self.workers:
            worker.call(self._model)
        patience_s = None
        while coming := {worker.coming: worker for worker in self.workers if worker.coming}:
            if not (ended := _ended(list(coming), patience_s)):
                return
            for ref in ended:
                self._greet(coming[ref])
            patience_s = TOGETHER_S if self.ready else None
        if self.is_lost:
            raise InputError(f"--ray: no actor can work: {self.problem}")


def _ended(refs: list[Any], timeout_s: float | None) -> list[Any]:
    """All that have ended, once one has or the time is up."""
    if refs and ray.wait(refs, num_returns=1, timeout=timeout_s)[0]:
        ended: list[Any] = ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        return ended
    return []


def _mark(folder: Path) -> "tempfile._TemporaryFileWrapper[bytes]":
    """A file that is there as long as it is open."""
    try:
        return tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, dir=folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error


def _content(job: Job) -> bytes:
    try:
        return job.model.path.read_bytes()
    except OSError as error:
        raise ModelError(f"{job.model.path}: {error.strerror}") from error


def _knock(address: str) -> None:
    """Fail at once where nobody answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in address:
        socket.create_connection((host, int(port)), KNOCK_TIMEOUT_S).close()


def _connect(address: str) -> None:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    # What happens to nodes would go to stdout, which is for results.
    ray._private.worker._worker_logs_enabled = False


def _start_actors(work: Work) -> list[Any]:
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = 0 if work.provider == "cpu" else int(resources.get("GPU", 0))
    maker: Any = ray.remote(Maker)
    maker = maker.options(
        num_gpus=1 if gpus else 0,
        num_cpus=1,
        max_restarts=MAX_RESTARTS,
        max_concurrency=_at_once(work.job),
    )
    count = gpus or max(1, int(resources.get("CPU", 1)))
    return [maker.remote(work) for _ in range(count)]


def _at_once(job: Job) -> int:
    return REMOTE_WORKERS // 2 if job.remote else AT_ONCE


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
