"""One job on a Ray cluster: actors that hold sessions, and the driver that plans.

The driver sends chunks of items, that is names and poses, to the actors, gets outcomes back and
alone writes the manifest. Images never travel through Ray: the actors read and write them on a
path that all nodes share, or at a URL. If an actor dies, its chunks are retried on the others,
and Ray restarts it, on another node if necessary. Each result is moved into place when it is
complete, so generating one twice does no harm.
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
from dptn_cli.errors import DptnError, InputError, ModelError, SessionLost, user_errors
from dptn_cli.inference.session import Session
from dptn_cli.io.results_folder import TEMPORARY_PREFIX
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import read_earlier_runs
from dptn_cli.transfer.pipeline import ChunkMaker
from dptn_cli.transfer.settings import REMOTE_WORKERS, Settings, StageSeconds
from dptn_cli.transfer.tasks import failed_outcome
from dptn_cli.types import Failure, Item, Job, Outcome

CONCURRENT_CHUNKS = 3  # per actor: one is being read, one inferred and one written
CONNECT_TIMEOUT_S = 10.0
MAX_LOST_SESSIONS = 2  # of an actor that finishes nothing in between
LATE_ACTORS_TIMEOUT_S = 5.0  # wait for more actors once one is ready, to report their number


@dataclass(frozen=True)
class ActorSetup:
    """The constructor argument of every actor, the same again when Ray restarts the actor.

    Attributes:
        job: the job, without its items.
        provider: where the actor's session runs.
        overwrite: whether to generate images again that already exist.
        retry_failed: whether to try items again that failed before with the same inputs.
        marker: a file that the driver keeps in the results folder. An actor that cannot see it is
            on a node that does not share the folder. None if the results go to a URL.
    """

    job: Job
    provider: Provider
    overwrite: bool
    retry_failed: bool
    marker: Path | None


class ChunkActor:
    """The Ray actor: it opens a session in `open_session`, then runs chunks with it.

    It reads the manifest itself, which may be too large to send.
    """

    def __init__(self, setup: ActorSetup) -> None:
        self._setup, self._maker = setup, cast(ChunkMaker | None, None)
        end_with_parent()  # Ray itself notices only after some 40 seconds that the node is gone

    @ray.method(max_task_retries=-1)
    def open_session(self, model_bytes: bytes, provider: Provider) -> Ready | Failure:
        """Open the session and read the manifest.

        Ray retries this call until the actor runs on a node and has answered.

        Args:
            model_bytes: content of the ONNX file, so that no node needs the file. It is not part
                of `ActorSetup`, because Ray may have freed a constructor's arguments by the time
                it restarts the actor.
            provider: where to run.

        Returns:
            Where the session runs, or why it could not be opened.
        """
        job = self._setup.job
        try:
            self._check_marker()
            # More threads than Ray assigned cores would take cores from the other actors.
            context = ray.get_runtime_context()
            assigned = context.get_assigned_resources()  # type: ignore[no-untyped-call]
            threads = max(1, int(assigned.get("CPU", 1)))
            session = Session(
                job.model,
                provider,
                1,
                arithmetic=job.arithmetic,
                threads=threads,
                model_bytes=model_bytes,
            )
            earlier = read_earlier_runs(job.out).lookup(
                overwrite=self._setup.overwrite, retry_failed=self._setup.retry_failed
            )
        except DptnError as error:
            return Failure(f"node {socket.gethostname()}: {error}")
        self._maker = ChunkMaker(job, session, earlier)
        return Ready(session.provider, _concurrent_chunks(job) + QUEUED_CHUNKS)

    def _check_marker(self) -> None:
        if self._setup.marker and not self._setup.marker.is_file():
            raise InputError(
                f"cannot see the driver's results folder {self._setup.job.out}; with --ray, all "
                "nodes must share the paths under the same names, or use URLs"
            )

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds] | None:
        """Generate the images of a chunk.

        Returns:
            One outcome for each item, and the time spent. None if the actor has no session yet,
            because Ray has just restarted it.
        """
        return self._maker.make(items) if self._maker else None


class _ActorWorker(Worker):
    """The driver's side of an actor.

    Attributes:
        handle: Ray's handle of the actor.
        opening: reference to the actor's running `open_session`; None once that has ended.
        lost_sessions: how often its session was lost since it finished a chunk.
    """

    def __init__(self, handle: Any) -> None:
        super().__init__()
        self.handle = handle
        self.opening: Any = None
        self.lost_sessions = 0

    def open_session(self, model_ref: Any, provider: Provider) -> None:
        """Ask the actor to open its session; it takes no chunks until it has answered."""
        self.capacity, self.opening = 0, self.handle.open_session.remote(model_ref, provider)


class RayPool:
    """The actors of one job on a cluster.

    Args:
        job: a checked job, from `transfer.plan.make_job`. Every node must see its paths under the
            same names, and must be able to read its URLs.
        address: address of a running cluster, `auto` for the cluster of this node, or `local` to
            start one here.
        provider: where the actors' sessions run.
        overwrite: whether to generate images again that already exist.
        retry_failed: whether to try items again that failed before with the same inputs.

    Attributes:
        workers: one for each GPU of the cluster, or for each CPU if it has no GPUs. Actors that
            Ray has no room for yet join the job later.
        provider: where the sessions really run.
        problem: why an actor could not open its session; empty if all could.

    Raises:
        InputError: there is no such cluster, or none of its actors could open a session.
        ModelError: the model file cannot be read.
    """

    def __init__(
        self,
        job: Job,
        address: str,
        provider: Provider,
        *,
        overwrite: bool,
        retry_failed: bool = False,
    ) -> None:
        self._job, self._provider, self.provider, self.problem = job, provider, "", ""
        self._marker = None if storage_of(job.out).is_remote else _create_marker(job.out)
        try:
            _check_reachable(address)
            _connect(address)
            with user_errors(job.model.path, kind=ModelError):
                model_bytes = job.model.path.read_bytes()
            self._model_ref = ray.put(model_bytes)
            marker = Path(self._marker.name).resolve() if self._marker else None
            setup = ActorSetup(job.without_items(), provider, overwrite, retry_failed, marker)
            self.workers = [_ActorWorker(handle) for handle in _start_actors(setup)]
            self._wait_for_actors()
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
        """End the actors, and remove the marker from the results folder."""
        ray.shutdown()
        if self._marker:
            with suppress(OSError):  # Already removed, or the disk is gone: nothing to do.
                self._marker.close()

    @property
    def ready_count(self) -> int:
        """Number of actors that take chunks."""
        return sum(worker.capacity > 0 for worker in self.workers)

    @property
    def is_lost(self) -> bool:
        """Whether every actor is dead and none will come back."""
        return not any(worker.capacity or worker.opening for worker in self.workers)

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Generate every image of the job; see `Scheduler.run`."""
        yield from Scheduler(self._job, self).run(settings, stages)

    def submit(self, worker: Worker, items: list[Item]) -> Any:
        """Send a chunk to an actor; return the reference to its result as the ticket."""
        return cast(_ActorWorker, worker).handle.make.remote(items)

    def poll(self) -> Iterator[ChunkDone | WorkerLost]:
        """Wait up to `POLL_S` for actors to finish a chunk, to get ready or to die."""
        owners = {ticket: worker for worker in self.workers for ticket in worker.pending}
        owners |= {worker.opening: worker for worker in self.workers if worker.opening}
        for ref in _wait_for_any(list(owners), POLL_S):
            worker = owners[ref]
            if ref is worker.opening:
                self._on_session_opened(worker)
            elif ref in worker.pending:  # not if an earlier `ref` showed that the worker is lost
                yield self._chunk_result(worker, ref)

    def _chunk_result(self, worker: _ActorWorker, ticket: Any) -> ChunkDone | WorkerLost:
        try:
            result = ray.get(ticket)
        except RayTaskError as error:  # the actor itself lives on
            if isinstance(error.cause, SessionLost):
                worker.capacity = 0
                worker.lost_sessions += 1
                if worker.lost_sessions < MAX_LOST_SESSIONS:
                    self._open_session(worker)
                return WorkerLost(worker, f"an actor: {error.cause}", is_blameless=True)
            reason = f"{type(error.cause).__name__}: {error.cause}"
            outcomes = [failed_outcome(item, reason) for item in worker.pending[ticket].items]
            return ChunkDone(worker, ticket, outcomes, StageSeconds())
        except RayError as error:
            self._open_session(worker)
            return WorkerLost(worker, f"an actor: {_first_line(error)}")
        if result is None:
            self._open_session(worker)
            return WorkerLost(worker, "an actor has restarted")
        worker.lost_sessions = 0
        return ChunkDone(worker, ticket, *result)

    def _open_session(self, worker: _ActorWorker) -> None:
        # Where the first sessions run: `auto` would fall back to the CPU without a word.
        worker.open_session(self._model_ref, Provider(self.provider or self._provider))

    def _on_session_opened(self, worker: _ActorWorker) -> None:
        try:
            answer: Ready | Failure = ray.get(worker.opening)
        except RayError as error:
            answer = Failure(_first_line(error))
        if isinstance(answer, Failure):
            self.problem = answer.reason
        else:
            self.provider, worker.capacity = answer.provider, answer.capacity
        worker.opening = None

    def _wait_for_actors(self) -> None:
        """Open all sessions; wait for the first, then a few seconds more for each other one."""
        for worker in self.workers:
            self._open_session(worker)
        timeout_s = None
        while opening := {worker.opening: worker for worker in self.workers if worker.opening}:
            opened = _wait_for_any(list(opening), timeout_s)
            if not opened:
                return
            for ref in opened:
                self._on_session_opened(opening[ref])
            timeout_s = LATE_ACTORS_TIMEOUT_S if self.ready_count else None
        if self.is_lost:
            raise InputError(f"--ray: no actor can work: {self.problem}")


def _wait_for_any(refs: list[Any], timeout_s: float | None) -> list[Any]:
    """Wait until one of the references is ready; return all that are, none after the timeout."""
    if refs and ray.wait(refs, num_returns=1, timeout=timeout_s)[0]:
        ready: list[Any] = ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        return ready
    return []


def _create_marker(folder: Path) -> "tempfile._TemporaryFileWrapper[bytes]":
    """Create a file that exists as long as it is open."""
    with user_errors(folder, "cannot be written"):
        return tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, dir=folder)


def _check_reachable(address: str) -> None:
    """Fail at once if nothing listens at a host and port; Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in address:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()


def _connect(address: str) -> None:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    # Ray would print events of nodes to stdout, which is for results.
    ray._private.worker._worker_logs_enabled = False


def _start_actors(setup: ActorSetup) -> list[Any]:
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    is_on_cpu = setup.provider in (Provider.CPU, Provider.OPENVINO)
    gpus = 0 if is_on_cpu else int(resources.get("GPU", 0))
    actor_class: Any = ray.remote(ChunkActor)
    actor_class = actor_class.options(
        num_gpus=1 if gpus else 0,
        num_cpus=1,
        max_restarts=MAX_RESTARTS,
        max_concurrency=_concurrent_chunks(setup.job),
    )
    count = gpus or max(1, int(resources.get("CPU", 1)))
    return [actor_class.remote(setup) for _ in range(count)]


def _concurrent_chunks(job: Job) -> int:
    return REMOTE_WORKERS // 2 if job.remote else CONCURRENT_CHUNKS


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
