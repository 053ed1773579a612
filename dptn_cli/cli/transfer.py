"""`dptn transfer`."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo
from dptn_cli.cli.options import (
    POSES,
    SPEED,
    ArithmeticOption,
    DryRun,
    FitOption,
    Json,
    ListOptions,
    LogFile,
    ModelOption,
    ProviderOption,
    Quiet,
    Verbose,
    default_model,
    default_model_note,
    detector_option,
    parse_batch_size,
    parse_devices,
    workers_option,
)
from dptn_cli.cli.transfer_report import MAX_FAILURES_SHOWN, TransferReporter
from dptn_cli.distributed.executors import as_it_would_run, open_run
from dptn_cli.enums import Arithmetic, Fit, ImageFormat, Provider, Retarget
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.trial import try_model
from dptn_cli.io.paths import parse_location
from dptn_cli.io.results_folder import CONTACT_SHEETS_FOLDER
from dptn_cli.signals import StopRequest
from dptn_cli.transfer.contact_sheets import (
    check_pages,
    items_with_results,
    page_count,
    write_contact_sheets,
)
from dptn_cli.transfer.earlier_runs import read_earlier_runs
from dptn_cli.transfer.pipeline import dry_run
from dptn_cli.transfer.plan import TransferRequest, make_job, with_poses
from dptn_cli.transfer.run import FailureLimit, RunOptions
from dptn_cli.transfer.unlisted import Unlisted
from dptn_cli.types import Job

PATH_OR_URL = "PATH|URL"
INPUTS, RESULTS, FAILURES = "Input", "Results", "Failures"

app = typer.Typer(add_completion=False)


@app.command(cls=ListOptions)  # a second source after `--poses` would else be taken as a pose
@error_boundary
def transfer(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Source images, or folders of them. Requires --poses."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar=PATH_OR_URL,
            help="Pair list: a CSV with the columns from,to and optionally out.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar=PATH_OR_URL,
            help="Folder of the pair list's images. Default: the list's folder.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    poses: Annotated[
        list[str] | None,
        typer.Option(
            metavar=PATH_OR_URL,
            help="Images, pose files or folders: show every source in every pose.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    model: ModelOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Process only the first N items.", rich_help_panel=INPUTS
        ),
    ] = None,
    keypoints: Annotated[
        list[str] | None,
        typer.Option(
            metavar=PATH_OR_URL,
            help="Pose files or folders of them. A keypoints.csv beside the images or the list is "
            "always read.",
            rich_help_panel=POSES,
        ),
    ] = None,
    detector: Annotated[
        str, detector_option("Pose detector for images without keypoints", panel=POSES)
    ] = "auto",
    fit: FitOption = Fit.AUTO,
    retarget: Annotated[
        Retarget | None,
        typer.Option(
            help="scale: fit poses to the source person's size, build and ground line. none: use "
            "them unchanged. Default: scale with --poses, none with --pairs.",
            rich_help_panel=POSES,
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar=PATH_OR_URL,
            help="Folder for results, manifest.jsonl and run.json.",
            rich_help_panel=RESULTS,
        ),
    ] = "results",
    result_format: Annotated[
        ImageFormat,
        typer.Option(
            "--format",
            help="Format of results that the list does not name. The paper used jpg.",
            rich_help_panel=RESULTS,
        ),
    ] = ImageFormat.PNG,
    quality: Annotated[
        int,
        typer.Option(
            min=1,
            max=100,
            metavar="N",
            help="JPEG quality. The paper used 75.",
            rich_help_panel=RESULTS,
        ),
    ] = 75,
    shard: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Put results into subfolders of N items each.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    grid: Annotated[
        bool,
        typer.Option(
            help="Draw contact sheets into OUT/grids: source, pose, result, target image.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(help="Generate everything again.", rich_help_panel=RESULTS),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            help="At the end, remove results of earlier lists that this one does not have.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    skip_bad_rows: Annotated[
        bool,
        typer.Option(
            help="Let rows that cannot be used fail, and generate the rest.",
            rich_help_panel=FAILURES,
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            help="Try items again that failed before with the same inputs.",
            rich_help_panel=FAILURES,
        ),
    ] = False,
    accept_known: Annotated[
        bool,
        typer.Option(
            help="Exit with 0 if every failure is one that an earlier run has met.",
            rich_help_panel=FAILURES,
        ),
    ] = False,
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%",
            help="Stop when more than N items, or P % of them, have failed anew.",
            rich_help_panel=FAILURES,
        ),
    ] = None,
    dry_run: DryRun = False,
    provider: ProviderOption = Provider.AUTO,
    arithmetic: ArithmeticOption = Arithmetic.MODEL,
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Maximum images in one inference. auto: measure the fastest once.",
            rich_help_panel=SPEED,
        ),
    ] = "auto",
    workers: Annotated[
        int,
        workers_option("Threads that read and write. 0: one per core, up to 8; 32 with URLs."),
    ] = 0,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,...",
            help="GPU numbers, or OpenVINO's names of devices; one process runs on each.",
            rich_help_panel=SPEED,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster: an address, auto (this node's) or local (start one).",
            rich_help_panel=SPEED,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Generate people in new poses, from a pair list or every source in every pose.

    Example: dptn transfer photo.jpg --poses wave.jpg --grid -o results/

    Poses may be photos. Where no file has keypoints for an image, they are
    detected.

    Run the same command again to resume: done items are skipped, and so are
    failed ones if their inputs have not changed.

    Exit codes: 0 all done, 1 some items failed or the run had to stop,
    2 nothing was started, 130 interrupted.
    """
    _check_sources(sources or pairs, {"--poses": poses, "--keypoints": keypoints})
    request = TransferRequest(
        out=parse_location(out),
        pairs=None if pairs is None else parse_location(pairs),
        images=None if images is None else parse_location(images),
        sources=tuple(map(parse_location, sources or ())),
        poses=tuple(map(parse_location, poses or ())),
        keypoints=tuple(map(parse_location, keypoints or ())),
        result_format=result_format,
        jpeg_quality=quality,
        limit=limit,
        shard=shard,
        skip_bad_rows=skip_bad_rows,
        fit=fit,
        retarget=retarget,
    )
    options = RunOptions(
        provider=provider,
        arithmetic=arithmetic,
        batch_size=parse_batch_size(batch_size),
        workers=workers,
        overwrite=overwrite,
        retry_failed=retry_failed,
        max_failures=_parse_max_failures(max_failures),
        prune=prune,
        devices=parse_devices(devices),
        ray_address=ray,
    )
    reporter = TransferReporter(
        quiet=quiet, as_json=as_json, verbose=verbose, accept_known=accept_known
    )
    exported = read_model(model or default_model())
    if note := default_model_note(model, exported):
        reporter.notify(note)
    try_model(exported, provider)
    job = make_job(request, exported)
    if grid:
        check_pages(job.out)
    if job.missing_pose:
        job = _detect_poses(
            job,
            detector,
            reporter,
            detect=not dry_run,
            retry_failed=retry_failed or overwrite,
            provider=provider,
        )
    reporter.print_warnings(job)
    if dry_run:
        return _dry_run(as_it_would_run(job, options, reporter.notify), options, reporter)
    code, state = _run(job, options, reporter)
    if grid and state == "finished":
        code = _write_contact_sheets(job, reporter) or code
    return code


def _check_sources(given: object, list_options: Mapping[str, Sequence[str] | None]) -> None:
    """Make sure that no option has taken the sources.

    Args:
        given: the sources or the pair list.
        list_options: the options that take all words up to the next option, by name.

    Raises:
        InputError: there are no sources, and such an option has more than one word.
    """
    for option, words in list_options.items():
        if not given and words and len(words) > 1:
            source, value = shlex.quote(words[-1]), shlex.join(words[:-1])
            raise InputError(
                f"no SOURCES: {option} takes every word up to the next option, {source} too. "
                f"Put the sources first: dptn transfer {source} {option} {value}"
            )


def _detect_poses(
    job: Job,
    detector: str,
    reporter: TransferReporter,
    *,
    detect: bool,
    retry_failed: bool,
    provider: Provider,
) -> Job:
    from dptn_cli.transfer.detection import find_missing_poses

    with StopRequest() as stop:
        found = find_missing_poses(
            job,
            detector,
            detect=detect,
            retry_failed=retry_failed,
            provider=provider,
            progress=reporter,
            stop=lambda: stop.requested,
            notify=reporter.notify,
        )
    return with_poses(job, found.poses, found.detectors)


def _dry_run(job: Job, options: RunOptions, reporter: TransferReporter) -> ExitCode:
    """Say what would be done, and generate nothing."""
    earlier = read_earlier_runs(job.out)
    unlisted = Unlisted(job, earlier)
    lookup = earlier.lookup(overwrite=options.overwrite, retry_failed=options.retry_failed)
    with reporter.stage("checking", job.planned) as advance:
        for outcome in dry_run(job, lookup):
            reporter.count(earlier.recognized(outcome))
            unlisted.add_listed(outcome.output)
            advance(1)
    counts = reporter.counts
    document: dict[str, Any] = {
        "state": "dry run",
        "counts": {
            "planned": job.planned,
            "skipped": counts["skipped"],
            "failed": counts["failed"],
            "to_do": counts["done"],
        },
        "known_failures": reporter.known_failures,
        "warnings": dict(reporter.warnings),
        "unlisted": 0,
        "prune": options.prune,
    }
    for output in () if job.is_partial else unlisted.results():
        document["unlisted"] += 1
        if document["unlisted"] <= MAX_FAILURES_SHOWN:
            reporter.unlisted_examples.append(output)
    return reporter.print_summary(document, job)


def _run(job: Job, options: RunOptions, reporter: TransferReporter) -> tuple[ExitCode, str]:
    """Run a job; return the exit code and the state in which it ended."""
    stop = StopRequest()
    with open_run(job, options, stop=lambda: stop.requested, notify=reporter.notify) as run:
        with stop, reporter.progress_line("transfer", job.planned) as line:
            for outcome in run.outcomes():
                reporter.count(outcome)
                failed = reporter.counts["failed"]
                line.advance(f"{failed:,} failed" if failed else "")
            document = run.finish()
        for problem in run.problems:
            echo(problem)
    code = reporter.print_summary(document, job)
    if not code and run.problems:
        code = ExitCode.SOME_FAILED
    return code, document["state"]


def _write_contact_sheets(job: Job, reporter: TransferReporter) -> ExitCode:
    """Draw contact sheets of all results that exist, those of earlier runs included."""
    items = items_with_results(job, read_earlier_runs(job.out).is_done)
    pages = 0
    try:
        with (
            StopRequest() as stop,
            reporter.stage("contact sheets", page_count(job.planned)) as advance,
        ):
            for _ in write_contact_sheets(job, items):
                pages += 1
                advance(1)
                if stop.requested:
                    reporter.notify("Interrupted; the results are complete.")
                    return ExitCode.INTERRUPTED
    except InputError as error:
        echo(f"No more contact sheets: {error}")
        return ExitCode.SOME_FAILED
    sheets = "sheet" if pages == 1 else "sheets"
    reporter.notify(f"{pages:,} contact {sheets} in {job.out / CONTACT_SHEETS_FOLDER}")
    return ExitCode.DONE


def _parse_max_failures(text: str | None) -> FailureLimit | None:
    """Parse the number of items that may fail, or the percentage, as in `100` or `5%`.

    Raises:
        InputError: the text is anything else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,12})|(\d{1,3}(?:\.\d+)?) ?%", text.strip())
    if not match or (match[2] and float(match[2]) > 100):
        raise InputError(f"--max-failures {text!r}: write a number of items, or 0% to 100%")
    return FailureLimit(int(match[1])) if match[1] else FailureLimit(float(match[2]), True)
