"""The same job on a Ray cluster: actors that hold sessions, fed by the one process that plans.

Chunks of items, names and poses, go to the actors; outcomes come back; pictures never travel:
they are read from and written to a path that all nodes share, or a URL. The driver alone writes the
manifest. An actor that dies is started again by Ray and its chunks are made again, up to
`MOST_RETRIES` times; results are put in place whole, so making one twice does no harm.
"""

import logging
import socket
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import ray
from ray.exceptions import RayError

from dptn_cli.errors import InputError
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
from dptn_cli.session import Provider, Session

MOST_RETRIES = 3  # of a chunk whose actor died
AT_ONCE = 3  # chunks in an actor: one is read and one written while one is inferred
KNOCK_TIMEOUT_S = 10.0
WAITING = 2  # further chunks at an actor, so that it never waits for the driver


class Maker:
    """What an actor holds: a session, and what makes chunks with it.

    It reads the manifest itself: a large argument would be lost to an actor that starts again.
    """

    def __init__(self, job: Job, provider: Provider, *, overwrite: bool) -> None:
        # More threads than Ray gave cores would fight the other actors for theirs.
        given = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        session = Session(job.model, provider, 1, threads=max(1, int(given.get("CPU", 1))))
        self._provider = session.provider
        self._maker = ChunkMaker(job, session, holder(job.out, overwrite=overwrite))

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds]:
        """Make a chunk; one outcome an item."""
        return self._maker.make(items)

    def provider(self) -> str:
        """Where it really runs."""
        return self._provider


class RayPool:
    """Actors of a cluster, ready to make the chunks of one job.

    Args:
        job: as `plan.make_job` checked it; its paths must be the same on every node, its URLs
            open to each.
        address: of a running cluster; `auto`: the one of this node; `local`: one started here.
        provider: of the actors' sessions.
        overwrite: make everything anew.

    Attributes:
        actors: one for each GPU, or for each CPU where there are none.
        provider: where they really run.

    Raises:
        InputError: no such cluster, or no actor could be started.
    """

    def __init__(self, job: Job, address: str, provider: Provider, *, overwrite: bool) -> None:
        self._job = job
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            self.actors = _start_actors(job.without_items(), provider, overwrite=overwrite)
            self.provider = str(ray.get(self.actors[0].provider.remote()))
        except (RayError, OSError, ValueError) as error:
            ray.shutdown()
            raise InputError(f"--ray {address}: {_first_line(error)}") from error

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def run(self, settings: Settings, stages: StageSeconds) -> Iterator[Outcome]:
        """Make every picture of the job: as `pipeline.run`, in the same chunks.

        Args:
            settings: `workers` and `holds` are the actors' own.
            stages: is added to.
        """
        pending: dict[Any, list[Item]] = {}
        most = (_at_once(self._job) + WAITING) * len(self.actors)
        actors = cycle(self.actors)
        for chunk in chunks_of(self._job, settings.batch_size):
            if settings.stop():
                break
            pending[next(actors).make.remote(chunk)] = chunk
            if len(pending) >= most:
                yield from _ended(pending, stages)
        while pending:
            yield from _ended(pending, stages)


def _ended(pending: dict[Any, list[Item]], stages: StageSeconds) -> Iterator[Outcome]:
    """Take the next chunk that ends out of `pending`."""
    (ended, *_), _ = ray.wait(list(pending), num_returns=1)
    chunk = pending.pop(ended)
    try:
        outcomes, spent = ray.get(ended)
    except RayError as error:
        reason = f"lost with its actor: {_first_line(error)}"
        yield from (failed(item, reason) for item in chunk)
        return
    stages.add(spent)
    yield from outcomes


def _knock(address: str) -> None:
    """Fail at once where nobody answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in address:
        socket.create_connection((host, int(port)), KNOCK_TIMEOUT_S).close()


def _start_actors(job: Job, provider: Provider, *, overwrite: bool) -> list[Any]:
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = 0 if provider == "cpu" else int(resources.get("GPU", 0))
    maker: Any = ray.remote(Maker)
    maker = maker.options(
        num_gpus=1 if gpus else 0,
        num_cpus=1,
        max_restarts=-1,
        max_task_retries=MOST_RETRIES,
        max_concurrency=_at_once(job),
    )
    count = gpus or max(1, int(resources.get("CPU", 1)))
    return [maker.remote(job, provider, overwrite=overwrite) for _ in range(count)]


def _at_once(job: Job) -> int:
    return REMOTE_WORKERS // 2 if job.remote else AT_ONCE


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
