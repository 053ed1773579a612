"""One run of a job: every outcome goes to the manifest, and the numbers to `run.json`."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dptn_cli.enums import Provider
from dptn_cli.errors import InputError
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.run_json import RunJson, utc_now
from dptn_cli.transfer.settings import REMOTE_WORKERS, Settings, StageSeconds
from dptn_cli.types import Job, Outcome

MAX_WORKERS = 8


@dataclass(frozen=True)
class RunOptions:
    """The options of a run. No option changes an image by more than 1 grey level.

    Attributes:
        provider: the execution provider.
        batch_size: maximum number of targets in one inference; None to measure the best one.
        workers: number of threads that read, decode, encode and write; 0 to choose by the
            number of cores, or for URLs by `REMOTE_WORKERS`.
        overwrite: whether to generate everything again.
        devices: numbers of the GPUs to use, with a process for each; empty for this process.
        ray_address: address of a Ray cluster, `auto` for this node's, or `local` to start one;
            None for no cluster.

    Raises:
        InputError: the options do not go together.
    """

    provider: Provider = Provider.AUTO
    batch_size: int | None = None
    workers: int = 0
    overwrite: bool = False
    devices: tuple[int, ...] = ()
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.devices and self.ray_address:
            raise InputError("--devices is for this machine, --ray for a cluster: not both")


@dataclass(frozen=True)
class Executor:
    """A way to generate the images of a job: a session in this process, or workers elsewhere.

    Attributes:
        run: generates every image, and yields one outcome for each item.
        provider: the execution provider that is really used.
        batch_size: maximum number of targets in one inference.
        streams: number of inferences that run at once in this process.
    """

    run: Callable[[Settings, StageSeconds], Iterator[Outcome]]
    provider: str
    batch_size: int
    streams: int = 1


@dataclass
class TransferRun:
    """One run of a job.

    Attributes:
        job: the job.
        executor: what generates the images.
        manifest: the manifest of the results folder, locked.
        workers: number of threads that read, decode, encode and write.
        overwrite: whether to generate everything again.
        stop: returns whether to stop; called between batches.
        notify: receives messages that the user should see at once, one line each.
        counts: number of outcomes so far, by status.
        problems: what could not be recorded at the end, one line each.
    """

    job: Job
    executor: Executor
    manifest: Manifest
    workers: int
    overwrite: bool = False
    stop: Callable[[], bool] = lambda: False
    notify: Callable[[str], None] = lambda message: None
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._run_json = RunJson(
            self.job, self.executor.provider, self.executor.batch_size, self.workers, utc_now()
        )
        self._stages, self._started_s = StageSeconds(), time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """Run the job.

        Yields:
            One outcome for each item, in the order in which they end, after its line is in the
            manifest.

        Raises:
            InputError: `run.json` cannot be written at the start.
        """
        self._run_json.write_started()
        settings = Settings(
            batch_size=self.executor.batch_size,
            streams=self.executor.streams,
            workers=self.workers,
            is_done=self.manifest.done_lookup(overwrite=self.overwrite),
            stop=self.stop,
            notify=self.notify,
        )
        for outcome in self.executor.run(settings, self._stages):
            recorded = self.manifest.append(outcome)
            self.counts[recorded.status] += 1
            yield recorded

    def finish(self) -> dict[str, Any]:
        """Record how the run went, after `outcomes` has ended.

        A full disk must not hide what became of the items, so what cannot be written is added to
        `problems` instead of raised.

        Returns:
            The content of `run.json`.
        """
        elapsed_s = time.monotonic() - self._started_s
        document = self._run_json.finished(
            self.counts, self._stages, elapsed_s, interrupted=self.stop()
        )
        for record in (partial(self._run_json.write, document), self.manifest.publish):
            try:
                record()
            except InputError as error:
                self.problems.append(str(error))
        return document


def default_workers(*, remote: bool = False) -> int:
    """Return the number of threads that read, decode, encode and write: one a core, up to eight.

    Args:
        remote: whether files are behind URLs, so that the threads spend their time waiting.
    """
    return REMOTE_WORKERS if remote else min(MAX_WORKERS, os.cpu_count() or 1)
