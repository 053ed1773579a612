"""One run of a job: every outcome goes to the manifest, and the numbers to `run.json`.

A run stops if going on is senseless: the disk is full, the results folder is gone, the GPU is
lost, or more items have failed than the user allows. The same command continues it later.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dptn_cli.enums import Arithmetic, Provider, Status
from dptn_cli.errors import InputError, RunStopped
from dptn_cli.processor import available_cores
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.run_json import RunJson, utc_now
from dptn_cli.transfer.settings import REMOTE_WORKERS, Settings, StageSeconds
from dptn_cli.transfer.unlisted import Unlisted, prune, remove_unlisted, write_unlisted
from dptn_cli.types import Job, Outcome

MAX_WORKERS = 8
MAX_PROBLEMS = 20  # results that cannot be removed, one line each


@dataclass(frozen=True)
class FailureLimit:
    """How many items may fail before a run stops.

    Attributes:
        value: number of items, or percent of the planned ones.
        is_percent: which of the two.
    """

    value: float
    is_percent: bool = False

    def items(self, planned: int) -> int:
        """Return the limit as a number of items, rounded down."""
        return int(planned * self.value / 100 if self.is_percent else self.value)

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.is_percent else ''}"


@dataclass(frozen=True)
class RunOptions:
    """The options of a run. None but `arithmetic` changes an image by more than 1 grey level.

    Attributes:
        provider: where the model runs.
        arithmetic: the arithmetic that the model is to run in.
        batch_size: maximum number of targets in one inference; None to measure the best one.
        workers: number of threads that read, decode, encode and write; 0 to choose by the
            number of cores, or for URLs by `REMOTE_WORKERS`.
        overwrite: whether to generate everything again.
        retry_failed: whether to try items again that failed before with the same inputs.
        max_failures: the run stops when more items than this have failed; None for no limit.
        prune: whether to remove the results of earlier lists at the end.
        devices: numbers of the GPUs to use, or OpenVINO's names of devices, with a process for
            each; empty for this process.
        ray_address: address of a Ray cluster, `auto` for this node's, or `local` to start one;
            None for no cluster.

    Raises:
        InputError: the options do not go together.
    """

    provider: Provider = Provider.AUTO
    arithmetic: Arithmetic = Arithmetic.MODEL
    batch_size: int | None = None
    workers: int = 0
    overwrite: bool = False
    retry_failed: bool = False
    max_failures: FailureLimit | None = None
    prune: bool = False
    devices: tuple[int | str, ...] = ()
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.devices and self.ray_address:
            raise InputError("--devices is for this machine, --ray for a cluster: not both")
        named = [device for device in self.devices if isinstance(device, str)]
        if named and self.provider is not Provider.OPENVINO:
            raise InputError(f"--devices {named[0]} needs --provider openvino")


@dataclass(frozen=True)
class Executor:
    """A way to generate the images of a job: a session in this process, or workers elsewhere.

    Attributes:
        run: generates every image, and yields one outcome for each item.
        provider: the provider that is really used.
        batch_size: maximum number of targets in one inference.
        streams: number of inferences that run at once in this process.
        arithmetic_psnr_db: PSNR of the images in the job's arithmetic against those in the model's
            own; None if that is the same, or was not measured.
    """

    run: Callable[[Settings, StageSeconds], Iterator[Outcome]]
    provider: str
    batch_size: int
    streams: int = 1
    arithmetic_psnr_db: float | None = None


@dataclass
class TransferRun:
    """One run of a job.

    Attributes:
        job: the job.
        executor: what generates the images.
        manifest: the manifest of the results folder, locked.
        workers: number of threads that read, decode, encode and write.
        options: how the job is run.
        stop: returns whether to stop; called between batches.
        notify: receives messages that the user should see at once, one line each.
        counts: number of outcomes so far, by status.
        known_failures: number of failures among them that an earlier run has met.
        warnings: number of images that may look wrong, those of earlier runs included, by the
            reason.
        stop_reason: why the run could not go on; empty if it could.
        problems: what could not be recorded at the end, one line each.
        unlisted: number of results of earlier lists, after `finish`.
        pruned: number of them that were removed.
    """

    job: Job
    executor: Executor
    manifest: Manifest
    workers: int
    options: RunOptions = field(default_factory=RunOptions)
    stop: Callable[[], bool] = lambda: False
    notify: Callable[[str], None] = lambda message: None
    counts: Counter[str] = field(default_factory=Counter)
    known_failures: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    stop_reason: str = ""
    problems: list[str] = field(default_factory=list)
    unlisted: int = 0
    pruned: int = 0

    def __post_init__(self) -> None:
        self._run_json = RunJson(
            self.job,
            self.executor.provider,
            self.executor.batch_size,
            self.workers,
            utc_now(),
            self.executor.arithmetic_psnr_db,
        )
        self._stages, self._started_s = StageSeconds(), time.monotonic()
        self._unlisted = Unlisted(self.job, self.manifest.earlier)
        limit = self.options.max_failures
        self._max_failures = math.inf if limit is None else limit.items(self.job.planned)

    def outcomes(self) -> Iterator[Outcome]:
        """Run the job, until every item has ended, `stop` returns True, or going on is senseless.

        Yields:
            One outcome for each item that ended, in the order in which they end, after its line
            is in the manifest.

        Raises:
            InputError: the records cannot be written at the start.
        """
        self._run_json.write_started()
        remove_unlisted(self.job.out)
        settings = Settings(
            batch_size=self.executor.batch_size,
            streams=self.executor.streams,
            workers=self.workers,
            earlier=self.manifest.earlier.lookup(
                overwrite=self.options.overwrite, retry_failed=self.options.retry_failed
            ),
            stop=lambda: bool(self.stop_reason) or self.stop(),
            notify=self.notify,
        )
        for outcome in self._executed(settings):
            if outcome.stop_reason:
                self._stop_because(outcome.stop_reason)
                continue
            try:
                recorded = self.manifest.append(outcome)
            except RunStopped as error:
                self._stop_because(str(error))
                continue
            self._count(recorded)
            yield recorded

    def _executed(self, settings: Settings) -> Iterator[Outcome]:
        """Run the items; stop if the list cannot be read to its end a second time."""
        try:
            yield from self.executor.run(settings, self._stages)
        except (InputError, OSError) as error:
            self._stop_because(f"the list cannot be read any more: {error}")

    def finish(self) -> dict[str, Any]:
        """Record how the run went, after `outcomes` has ended, and let go of the results folder.

        A full disk must not hide what became of the items, so what cannot be written is added to
        `problems` instead of raised.

        Returns:
            The content of `run.json`.
        """
        elapsed_s = time.monotonic() - self._started_s
        self._check_end()
        document = self._run_json.finished(
            self.counts,
            self._stages,
            elapsed_s,
            known_failures=self.known_failures,
            interrupted=self.stop(),
            stop_reason=self.stop_reason,
        )
        self.manifest.release_reserve()
        if document["state"] != "finished":
            self._say_unpruned("the run did not come to its end")
        elif self.job.is_partial:
            self._say_unpruned("only a part of the list is known")
        else:
            self._try(self._settle_unlisted)
        document |= {
            "warnings": dict(self.warnings),
            "unlisted": self.unlisted,
            "pruned": self.pruned,
        }
        if self.manifest.is_in_place:
            write = partial(self._run_json.write, document)
            self._try(write, attempts=2)  # it would say `running` for ever
        self._try(self.manifest.publish)
        self._try(self.manifest.close)
        return document

    def _check_end(self) -> None:
        """Find out whether the run came to its end, and still has its folder."""
        try:
            self.manifest.check()
        except RunStopped as error:
            self._stop_because(str(error))
        ended = self.counts.total()
        if ended != self.job.planned and not self.stop() and not self.stop_reason:
            self._stop_because(
                f"the list changed during the run: {self.job.planned:,} items were planned, and "
                f"{ended:,} ended"
            )

    def _say_unpruned(self, reason: str) -> None:
        if self.options.prune:
            self.notify(f"Nothing was pruned, because {reason}.")

    def _stop_because(self, reason: str) -> None:
        self.stop_reason = self.stop_reason or reason
        self.manifest.release_reserve()

    def _count(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        self.known_failures += outcome.known
        self.warnings.update(outcome.warnings)
        self._unlisted.add_listed(outcome.output)
        failures = self.counts[Status.FAILED] - self.known_failures
        if failures > self._max_failures and self.counts.total() < self.job.planned:
            self._stop_because(
                f"more than {self._max_failures:,} items failed (--max-failures "
                f"{self.options.max_failures})"
            )

    def _settle_unlisted(self) -> None:
        """Record the outputs of earlier lists, and remove their images or count them."""
        if self.options.prune:
            self.pruned, problems = prune(self.job.out, self._unlisted.results())
            self.problems += problems[:MAX_PROBLEMS]
        self.unlisted = sum(1 for _ in self._unlisted.results())
        write_unlisted(self.job.out, self._unlisted.entries())

    def _try(self, record: Callable[[], object], attempts: int = 1) -> None:
        for left in reversed(range(attempts)):
            try:
                record()
                return
            except InputError as error:
                if not left:
                    self.problems.append(str(error))


def default_workers(*, remote: bool = False) -> int:
    """Return the number of threads that read, decode, encode and write: one a core, up to eight.

    Args:
        remote: whether files are behind URLs, so that the threads spend their time waiting.
    """
    return REMOTE_WORKERS if remote else min(MAX_WORKERS, available_cores())
