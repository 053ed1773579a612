"""`dptn transfer`."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dptn_cli.cli.console import ProgressLine, error_boundary, print_json, say, show_table
from dptn_cli.cli.detection import detect_unposed
from dptn_cli.cli.options import (
    DryRun,
    Json,
    ProviderName,
    ProviderOption,
    Quiet,
    Verbose,
    parse_batch_size,
)
from dptn_cli.errors import ExitCode, InputError, MissingDependency
from dptn_cli.files import make_folder

if TYPE_CHECKING:
    from dptn_cli.manifest import Manifest
    from dptn_cli.pipeline import Settings, StageSeconds
    from dptn_cli.plan import Request
    from dptn_cli.records import Job, Outcome

MODEL_VARIABLE = "DPTN_MODEL"
MOST_FAILURES_SHOWN = 20


class ResultFormat(StrEnum):
    """File format of the results."""

    PNG = "png"
    JPG = "jpg"


class FitName(StrEnum):
    """How a picture of any size becomes one of the model's."""

    AUTO = "auto"
    STRETCH = "stretch"
    PAD = "pad"
    PERSON = "person"


class RetargetName(StrEnum):
    """Whether target poses are brought to the source person's size."""

    NONE = "none"
    SCALE = "scale"


@error_boundary
def transfer(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures and folders of pictures, for --poses."),
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for results, manifest.jsonl and run.json.")
    ] = Path("results"),
    pairs: Annotated[
        Path | None, typer.Option(help="Pair list: a CSV with the columns from,to and perhaps out.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pair list's pictures; default: its own.")
    ] = None,
    poses: Annotated[
        list[Path] | None,
        typer.Option(help="Every source in every one of these: pictures, pose files, folders."),
    ] = None,
    keypoints: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pose file (annotation CSV, COCO, openpifpaf or OpenPose JSON) or a folder of "
            "them; keypoints.csv beside pictures is read by itself."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="ONNX file; default: $DPTN_MODEL, or the only one in ./models."),
    ] = None,
    fit: Annotated[
        FitName,
        typer.Option(
            help="Pictures of other sizes; auto: stretched if the aspect is within 5 %, else "
            "cropped around the person."
        ),
    ] = FitName.AUTO,
    retarget: Annotated[
        RetargetName | None,
        typer.Option(
            help="scale: poses brought to the source person's size and ground; default: scale "
            "with --poses, none with --pairs."
        ),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="openpifpaf checkpoint, file or name, for pictures without keypoints; what it "
            "finds is kept in keypoints.csv beside the results."
        ),
    ] = "shufflenetv2k30",
    provider: ProviderOption = ProviderName.AUTO,
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Most pictures at once; auto measures it once, and is 8 with --ray.",
        ),
    ] = "auto",
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="Threads that decode and encode; 0: by the cores.")
    ] = 0,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Ray cluster: its address, auto (this node's) or local (one for this run).",
        ),
    ] = None,
    result_format: Annotated[
        ResultFormat, typer.Option("--format", help="jpg is what the published code saves.")
    ] = ResultFormat.PNG,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG; 75 as published.")] = 75,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    shard: Annotated[
        int | None,
        typer.Option(min=1, help="Results in numbered subfolders of at most so many."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Make everything anew.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> ExitCode:
    """Show people in new poses: a pair list, or every source in every pose.

    Run the same command again to go on: what is done is skipped, what failed is tried again.
    Exit code: 0 all done, 1 some failed, 2 nothing started, 130 interrupted.
    """
    from dptn_cli.plan import Request, make_job
    from dptn_cli.records import Fit, Retarget
    from dptn_cli.session import read_model

    request = Request(
        out=out,
        pairs=pairs,
        images=images,
        sources=tuple(sources or ()),
        poses=tuple(poses or ()),
        keypoints=tuple(keypoints or ()),
        result_format=result_format.value,
        jpeg_quality=quality,
        limit=limit,
        shard=shard,
        fit=Fit(fit.value),
        retarget=Retarget(retarget.value) if retarget else None,
    )
    _check_mode(request)
    wanted = parse_batch_size(batch_size)
    loaded = read_model(model or default_model())
    job = make_job(request, loaded)
    show = _Show(quiet=quiet, as_json=as_json, verbose=verbose)
    if job.unposed and not dry_run:
        found = detect_unposed(job.unposed, out, detector, quiet=show.silent)
        job = make_job(replace(request, detected=found), loaded)
    _warn_of_missing(job, show)
    if dry_run:
        return _preview(job, show, overwrite=overwrite)
    how = _How(provider, wanted, workers or default_workers(), overwrite)
    return _transfer_on_ray(job, how, ray, show) if ray else _transfer(job, how, show)


@dataclass(frozen=True)
class _How:
    provider: ProviderName
    batch_size: int | None
    workers: int
    overwrite: bool


@dataclass
class _Show:
    """What to tell the user, and the tally that is told."""

    quiet: bool
    as_json: bool
    verbose: bool
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        return self.quiet or self.as_json

    def count(self, outcome: "Outcome") -> None:
        self.counts[outcome.status] += 1
        if outcome.status == "failed" and len(self.failures) < MOST_FAILURES_SHOWN:
            self.failures.append(f"{outcome.output}: {outcome.reason}")


def default_model() -> Path:
    """The model of `$DPTN_MODEL`, else the only one in ./models.

    Raises:
        InputError: there is none, or more than one.
    """
    if named := os.environ.get(MODEL_VARIABLE):
        return Path(named)
    found = sorted(Path("models").glob("*.onnx"))
    if len(found) != 1:
        there = "no .onnx file" if not found else f"{len(found)} .onnx files"
        raise InputError(f"which model? {there} in ./models: give --model or set ${MODEL_VARIABLE}")
    return found[0]


def _check_mode(request: "Request") -> None:
    if request.pairs and (request.sources or request.poses):
        raise InputError("either --pairs, or SOURCES with --poses; not both")
    if not request.pairs and not (request.sources and request.poses):
        raise InputError("what is to be made? Give --pairs PAIRS.csv, or SOURCES with --poses")
    if request.images and not request.pairs:
        raise InputError("--images goes with --pairs")


def default_workers() -> int:
    """Threads that decode and encode, where nobody says."""
    return max(1, min(8, os.cpu_count() or 1))


def _warn_of_missing(job: "Job", show: _Show) -> None:
    if job.missing_sources:
        some = ", ".join(job.missing_sources[:5])
        more = ", ..." if len(job.missing_sources) > 5 else ""
        say(
            f"{len(job.missing_sources):,} source pictures are missing, their items will fail: "
            f"{some}{more}",
            quiet=show.silent,
        )


def _preview(job: "Job", show: _Show, *, overwrite: bool) -> ExitCode:
    from dptn_cli.manifest import holder
    from dptn_cli.pipeline import preview

    line = ProgressLine(job.planned, "checking", quiet=show.silent)
    with line.shown():
        for outcome in preview(job, holder(job.out, overwrite=overwrite)):
            show.count(outcome)
            line.advance()
    names = ("done", "skipped", "failed")
    counts = {"planned": job.planned, **{name: show.counts[name] for name in names}}
    return _tell({"state": "dry run", "counts": counts}, show, job)


@dataclass(frozen=True)
class _Engine:
    """What makes the pictures: a session in this process, or the actors of a cluster."""

    make: "Callable[[Settings, StageSeconds], Iterator[Outcome]]"
    provider: str
    batch_size: int
    lanes: int = 1


def _transfer(job: "Job", how: _How, show: _Show) -> ExitCode:
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


def _transfer_on_ray(job: "Job", how: _How, address: str, show: _Show) -> ExitCode:
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
        say(f"{len(pool.actors)} actors on Ray, {pool.provider}.", quiet=show.silent)
        engine = _Engine(pool.run, pool.provider, how.batch_size or USUAL)
        return _make_all(job, engine, manifest, how=how, show=show)


def _make_all(
    job: "Job", engine: _Engine, manifest: "Manifest", *, how: _How, show: _Show
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
        )
        for outcome in engine.make(settings, stages):
            show.count(manifest.append(outcome))
            if show.verbose:
                say(f"{outcome.status}  {outcome.output}  {outcome.reason}", quiet=show.silent)
            failed = show.counts["failed"]
            line.advance(f"{failed:,} failed" if failed else "")
        elapsed_s = time.monotonic() - started_s
        document = run_file.finish(show.counts, stages, elapsed_s, interrupted=stop.asked)
        try:
            run_file.write(document)
        except InputError as error:  # A full disk must not hide what became of the items.
            say(str(error))
    return _tell(document, show, job)


def _tell(document: dict[str, Any], show: _Show, job: "Job") -> ExitCode:
    """Show how it went; the exit code for it."""
    counts = document["counts"]
    if show.as_json:
        print_json(document)
    if not show.silent:
        show_table(_rows(document, job))
    if show.failures:
        say("\n".join(["Failed:", *(f"  {failure}" for failure in show.failures)]))
        if counts["failed"] > len(show.failures):
            say(f"  and {counts['failed'] - len(show.failures):,} more, in manifest.jsonl")
    if document["state"] == "interrupted":
        say("Interrupted; what was done is kept. The same command goes on.", quiet=show.silent)
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if counts["failed"] else ExitCode.DONE


def _rows(document: dict[str, Any], job: "Job") -> dict[str, str]:
    counts = document["counts"]
    rows = {name: f"{counts[name]:,}" for name in ("planned", "done", "skipped", "failed")}
    if document["state"] == "dry run":
        rows["to do"] = rows.pop("done")
    else:
        rows["pictures a second"] = f"{document['pictures_per_second']:.2f}"
        rows["run on"] = document["provider"]
    return rows | {"model": str(job.model.path), "results": str(job.out)}
