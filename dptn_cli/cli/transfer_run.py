"""A checked transfer job, run: here or on a cluster, its outcomes kept and told."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dptn_cli.cli.console import ProgressLine, echo
from dptn_cli.cli.transfer_report import Reporter, tell
from dptn_cli.enums import Provider
from dptn_cli.errors import ExitCode, InputError, MissingDependency
from dptn_cli.io.files import make_folder

if TYPE_CHECKING:
    from dptn_cli.enums import Provider
    from dptn_cli.transfer.manifest import Manifest
    from dptn_cli.transfer.settings import Settings, StageSeconds
    from dptn_cli.types import Job, Outcome


@dataclass(frozen=True)
class RunOptions:
    """How the user wants a job to be run.

    Attributes:
        provider: where.
        batch_size: most images at once; None: `auto`.
        workers: threads that decode and encode.
        overwrite: make everything anew.
        grid: contact sheets at the end.
    """

    provider: Provider
    batch_size: int | None
    workers: int
    overwrite: bool
    grid: bool = False


def preview_job(job: "Job", show: Reporter, *, overwrite: bool) -> ExitCode:
    """Say what would be done, and make nothing."""
    from dptn_cli.transfer.manifest import done_lookup
    from dptn_cli.transfer.pipeline import preview

    line = ProgressLine(job.planned, "checking", quiet=show.silent)
    with line.shown():
        for outcome in preview(job, done_lookup(job.out, overwrite=overwrite)):
            show.count(outcome)
            line.advance()
    names = ("done", "skipped", "failed")
    counts = {"planned": job.planned, **{name: show.counts[name] for name in names}}
    counts["to_do"] = counts.pop("done")
    return tell({"state": "dry run", "counts": counts}, show, job)


@dataclass(frozen=True)
class _Engine:
    """What makes the images: a session in this process, or the actors of a cluster."""

    make: "Callable[[Settings, StageSeconds], Iterator[Outcome]]"
    provider: str
    batch_size: int
    streams: int = 1


def transfer_here(job: "Job", how: RunOptions, show: Reporter) -> ExitCode:
    """Run a job in this process."""
    from dptn_cli.inference.batch_size import best_batch_size
    from dptn_cli.inference.session import Session
    from dptn_cli.transfer.manifest import Manifest
    from dptn_cli.transfer.pipeline import run

    session = Session(job.model, how.provider)
    if session.fallback:
        echo(f"Running on the CPU: {session.fallback}.", quiet=show.silent)
    batch_size = how.batch_size or best_batch_size(session, job)
    engine = _Engine(partial(run, job, session), session.provider, batch_size, session.streams)
    make_folder(job.out)
    with Manifest(job.out, job.model.sha256) as manifest:
        return _make_all(job, engine, manifest, how=how, show=show)


def transfer_on_ray(job: "Job", how: RunOptions, address: str, show: Reporter) -> ExitCode:
    """Run a job on the actors of a cluster; see `dptn_cli.distributed.ray_pool`."""
    from dptn_cli.inference.batch_size import DEFAULT_BATCH_SIZE
    from dptn_cli.transfer.manifest import Manifest

    try:
        from dptn_cli.distributed.ray_pool import RayPool
    except ImportError as error:
        raise MissingDependency("--ray", "ray", "pip install 'dptn-cli[ray]'") from error
    make_folder(job.out)
    with (
        Manifest(job.out, job.model.sha256) as manifest,  # first: two jobs must not meet
        RayPool(job, address, how.provider, overwrite=how.overwrite) as pool,
    ):
        count, planned = pool.ready_count, len(pool.workers)
        of_all = f"{count}" if count == planned else f"{count} of {planned}"
        echo(f"{of_all} actors on Ray, {pool.provider}.", quiet=show.silent)
        if pool.problem:
            echo(f"Not every actor can work: {pool.problem}", quiet=show.silent)
        engine = _Engine(pool.run, pool.provider, how.batch_size or DEFAULT_BATCH_SIZE)
        return _make_all(job, engine, manifest, how=how, show=show)


def transfer_on_devices(
    job: "Job", how: RunOptions, devices: Sequence[int], show: Reporter
) -> ExitCode:
    """Run a job in a process for each device; see `dptn_cli.distributed.process_pool`."""
    from dptn_cli.distributed.process_pool import ProcessPool
    from dptn_cli.inference.batch_size import DEFAULT_BATCH_SIZE
    from dptn_cli.transfer.manifest import Manifest

    make_folder(job.out)
    # Devices are GPUs: falling back to the CPU would not be an answer.
    provider = Provider.CUDA if how.provider is Provider.AUTO else how.provider
    with (
        Manifest(job.out, job.model.sha256) as manifest,  # first: two jobs must not meet
        ProcessPool(job, devices, provider, overwrite=how.overwrite) as pool,
    ):
        echo(f"{len(devices)} processes, {pool.provider}.", quiet=show.silent)
        engine = _Engine(pool.run, pool.provider, how.batch_size or DEFAULT_BATCH_SIZE)
        return _make_all(job, engine, manifest, how=how, show=show)


def _make_all(
    job: "Job", engine: _Engine, manifest: "Manifest", *, how: RunOptions, show: Reporter
) -> ExitCode:
    """Take every outcome to the manifest and the console."""
    from dptn_cli.signals import StopRequest
    from dptn_cli.transfer.run_json import RunJson, now
    from dptn_cli.transfer.settings import Settings, StageSeconds

    run_file = RunJson(job, engine.provider, engine.batch_size, how.workers, now())
    started_s, stages = time.monotonic(), StageSeconds()
    line = ProgressLine(job.planned, "transfer", quiet=show.silent)
    with StopRequest() as stop, line.shown():
        run_file.start()
        settings = Settings(
            batch_size=engine.batch_size,
            streams=engine.streams,
            workers=how.workers,
            is_done=manifest.done_lookup(overwrite=how.overwrite),
            stop=lambda: stop.asked,
            tell=lambda text: echo(text, quiet=show.silent),
        )
        for outcome in engine.make(settings, stages):
            show.count(manifest.append(outcome))
            if show.verbose:
                echo(f"{outcome.status}  {outcome.output}  {outcome.reason}", quiet=show.silent)
            failed = show.counts["failed"]
            line.advance(f"{failed:,} failed" if failed else "")
        elapsed_s = time.monotonic() - started_s
        document = run_file.finish(show.counts, stages, elapsed_s, interrupted=stop.asked)
        _kept(partial(run_file.write, document))
        published = _kept(manifest.publish)
    code = tell(document, show, job) or (ExitCode.DONE if published else ExitCode.SOME_FAILED)
    return _write_grids(job, show) or code if how.grid and not stop.asked else code


def _kept(keep: Callable[[], None]) -> bool:
    """Whether something could be written: a full disk must not hide what became of the items."""
    try:
        keep()
    except InputError as error:
        echo(str(error))
        return False
    return True


def _write_grids(job: "Job", show: Reporter) -> ExitCode:
    """Contact sheets of all results that are there, those of earlier runs too."""
    from dptn_cli.io.files import GRIDS_FOLDER
    from dptn_cli.signals import StopRequest
    from dptn_cli.transfer.contact_sheets import pages_of, write_pages
    from dptn_cli.transfer.manifest import done_lookup
    from dptn_cli.transfer.pipeline import items_in_place

    items = items_in_place(job, done_lookup(job.out, overwrite=False))
    line = ProgressLine(pages_of(job.planned), "contact sheets", quiet=show.silent)
    pages = 0
    try:
        with StopRequest() as stop, line.shown():
            for _ in write_pages(job, items):
                pages += 1
                line.advance()
                if stop.asked:
                    echo("Interrupted; the results are all there.", quiet=show.silent)
                    return ExitCode.INTERRUPTED
    except InputError as error:
        echo(f"No more contact sheets: {error}")
        return ExitCode.SOME_FAILED
    echo(
        f"{pages:,} contact {'sheet' if pages == 1 else 'sheets'} in {job.out / GRIDS_FOLDER}",
        quiet=show.silent,
    )
    return ExitCode.DONE
