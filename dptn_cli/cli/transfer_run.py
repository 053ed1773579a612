"""A checked transfer job, run: here or on a cluster, its outcomes kept and told."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dptn_cli.cli.console import ProgressLine, say
from dptn_cli.cli.options import ProviderName
from dptn_cli.cli.transfer_report import Show, tell
from dptn_cli.errors import ExitCode, InputError, MissingDependency
from dptn_cli.files import make_folder

if TYPE_CHECKING:
    from dptn_cli.manifest import Manifest
    from dptn_cli.pipeline import Settings, StageSeconds
    from dptn_cli.records import Job, Outcome
    from dptn_cli.session import Provider


@dataclass(frozen=True)
class How:
    """How the user wants a job to be run.

    Attributes:
        provider: where.
        batch_size: most pictures at once; None: `auto`.
        workers: threads that decode and encode.
        overwrite: make everything anew.
        grid: contact sheets at the end.
    """

    provider: ProviderName
    batch_size: int | None
    workers: int
    overwrite: bool
    grid: bool = False


def preview_job(job: "Job", show: Show, *, overwrite: bool) -> ExitCode:
    """Say what would be done, and make nothing."""
    from dptn_cli.manifest import holder
    from dptn_cli.pipeline import preview

    line = ProgressLine(job.planned, "checking", quiet=show.silent)
    with line.shown():
        for outcome in preview(job, holder(job.out, overwrite=overwrite)):
            show.count(outcome)
            line.advance()
    names = ("done", "skipped", "failed")
    counts = {"planned": job.planned, **{name: show.counts[name] for name in names}}
    counts["to_do"] = counts.pop("done")
    return tell({"state": "dry run", "counts": counts}, show, job)


@dataclass(frozen=True)
class _Engine:
    """What makes the pictures: a session in this process, or the actors of a cluster."""

    make: "Callable[[Settings, StageSeconds], Iterator[Outcome]]"
    provider: str
    batch_size: int
    lanes: int = 1


def transfer_here(job: "Job", how: How, show: Show) -> ExitCode:
    """Run a job in this process."""
    from dptn_cli.manifest import Manifest
    from dptn_cli.pipeline import run
    from dptn_cli.session import Session
    from dptn_cli.tuning import best_batch_size

    session = Session(job.model, how.provider.value)
    if session.fallback:
        say(f"Running on the CPU: {session.fallback}.", quiet=show.silent)
    batch_size = how.batch_size or best_batch_size(session, job)
    engine = _Engine(partial(run, job, session), session.provider, batch_size, session.lanes)
    make_folder(job.out)
    with Manifest(job.out, job.model.sha256) as manifest:
        return _make_all(job, engine, manifest, how=how, show=show)


def transfer_on_ray(job: "Job", how: How, address: str, show: Show) -> ExitCode:
    """Run a job on the actors of a cluster; see `dptn_cli.ray_pool`."""
    from dptn_cli.manifest import Manifest
    from dptn_cli.tuning import USUAL

    try:
        from dptn_cli.ray_pool import RayPool
    except ImportError as error:
        raise MissingDependency("--ray", "ray", "pip install 'dptn-cli[ray]'") from error
    make_folder(job.out)
    with (
        Manifest(job.out, job.model.sha256) as manifest,  # first: two jobs must not meet
        RayPool(job, address, how.provider.value, overwrite=how.overwrite) as pool,
    ):
        count, planned = pool.ready, len(pool.workers)
        of_all = f"{count}" if count == planned else f"{count} of {planned}"
        say(f"{of_all} actors on Ray, {pool.provider}.", quiet=show.silent)
        if pool.problem:
            say(f"Not every actor can work: {pool.problem}", quiet=show.silent)
        engine = _Engine(pool.run, pool.provider, how.batch_size or USUAL)
        return _make_all(job, engine, manifest, how=how, show=show)


def transfer_on_devices(job: "Job", how: How, devices: Sequence[int], show: Show) -> ExitCode:
    """Run a job in a process for each device; see `dptn_cli.device_pool`."""
    from dptn_cli.device_pool import DevicePool
    from dptn_cli.manifest import Manifest
    from dptn_cli.tuning import USUAL

    make_folder(job.out)
    provider: Provider = how.provider.value
    if provider == "auto":
        provider = "cuda"  # GPUs are asked for by number: the CPU would be no answer.
    with (
        Manifest(job.out, job.model.sha256) as manifest,  # first: two jobs must not meet
        DevicePool(job, devices, provider, overwrite=how.overwrite) as pool,
    ):
        say(f"{len(devices)} processes, {pool.provider}.", quiet=show.silent)
        engine = _Engine(pool.run, pool.provider, how.batch_size or USUAL)
        return _make_all(job, engine, manifest, how=how, show=show)


def _make_all(
    job: "Job", engine: _Engine, manifest: "Manifest", *, how: How, show: Show
) -> ExitCode:
    """Take every outcome to the manifest and the console."""
    from dptn_cli.interrupt import StopRequest
    from dptn_cli.pipeline import Settings, StageSeconds
    from dptn_cli.run_file import RunFile, now

    run_file = RunFile(job, engine.provider, engine.batch_size, how.workers, now())
    started_s, stages = time.monotonic(), StageSeconds()
    line = ProgressLine(job.planned, "transfer", quiet=show.silent)
    with StopRequest() as stop, line.shown():
        run_file.start()
        settings = Settings(
            batch_size=engine.batch_size,
            lanes=engine.lanes,
            workers=how.workers,
            holds=manifest.holder(overwrite=how.overwrite),
            stop=lambda: stop.asked,
            tell=lambda text: say(text, quiet=show.silent),
        )
        for outcome in engine.make(settings, stages):
            show.count(manifest.append(outcome))
            if show.verbose:
                say(f"{outcome.status}  {outcome.output}  {outcome.reason}", quiet=show.silent)
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
        say(str(error))
        return False
    return True


def _write_grids(job: "Job", show: Show) -> ExitCode:
    """Contact sheets of all results that are there, those of earlier runs too."""
    from dptn_cli.files import GRIDS_FOLDER
    from dptn_cli.grids import pages_of, write_pages
    from dptn_cli.interrupt import StopRequest
    from dptn_cli.manifest import holder
    from dptn_cli.pipeline import items_in_place

    items = items_in_place(job, holder(job.out, overwrite=False))
    line = ProgressLine(pages_of(job.planned), "contact sheets", quiet=show.silent)
    pages = 0
    try:
        with StopRequest() as stop, line.shown():
            for _ in write_pages(job, items):
                pages += 1
                line.advance()
                if stop.asked:
                    say("Interrupted; the results are all there.", quiet=show.silent)
                    return ExitCode.INTERRUPTED
    except InputError as error:
        say(f"No more contact sheets: {error}")
        return ExitCode.SOME_FAILED
    say(
        f"{pages:,} contact {'sheet' if pages == 1 else 'sheets'} in {job.out / GRIDS_FOLDER}",
        quiet=show.silent,
    )
    return ExitCode.DONE
