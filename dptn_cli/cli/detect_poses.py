"""`dptn detect-poses`."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import MAX_LISTED, echo, first_of, print_json, print_table
from dptn_cli.cli.options import DryRun, Json, LogFile, Quiet, Verbose
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.detect import DEFAULT_CHECKPOINT, Detector, PersonChoice, find_checkpoint
from dptn_cli.detect.checkpoint import checkpoint_sha256
from dptn_cli.detect.job import DetectionRequest, plan_job, run_job, split_finished
from dptn_cli.detect.log import DetectionOutcome, log_path
from dptn_cli.detect.people import MIN_CONFIDENCE, MIN_JOINTS
from dptn_cli.enums import Person, PoseFormat, Status
from dptn_cli.errors import ExitCode
from dptn_cli.signals import StopRequest

MAX_FAILURES_SHOWN = 20
INPUT, NETWORK, PEOPLE, RESULTS, SPEED = "Input", "Network", "People", "Results", "Speed"

app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def detect_poses(
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, folders (searched recursively) and patterns."),
    ],
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Process only the first N images.", rich_help_panel=INPUT
        ),
    ] = None,
    checkpoint: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="openpifpaf checkpoint: shufflenetv2k30, shufflenetv2k16, resnet50, or a file.",
            rich_help_panel=NETWORK,
        ),
    ] = DEFAULT_CHECKPOINT,
    download_weights: Annotated[
        bool,
        typer.Option(
            help="Download a published checkpoint if it is missing.", rich_help_panel=NETWORK
        ),
    ] = False,
    person: Annotated[
        Person,
        typer.Option(
            help="Which person to use if there are several. error: the image fails.",
            rich_help_panel=PEOPLE,
        ),
    ] = Person.LARGEST,
    min_joints: Annotated[
        int,
        typer.Option(
            min=1,
            max=18,
            metavar="N",
            help="Ignore people with fewer than this many joints.",
            rich_help_panel=PEOPLE,
        ),
    ] = MIN_JOINTS,
    threshold: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="X",
            help="Ignore joints with a lower confidence.",
            rich_help_panel=PEOPLE,
        ),
    ] = MIN_CONFIDENCE,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Pose file to write; a folder for openpose and openpifpaf.",
            rich_help_panel=RESULTS,
        ),
    ] = Path("keypoints.csv"),
    pose_format: Annotated[
        PoseFormat,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"Format of the pose file: {', '.join(PoseFormat)}.",
            rich_help_panel=RESULTS,
        ),
    ] = PoseFormat.CSV,
    preview: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for copies of the images with the skeleton drawn on them.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(help="Discard the results of earlier runs and detect all poses again."),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(help="Try images again that failed before and have not changed."),
    ] = False,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1,
            max=1024,
            metavar="N",
            help="Maximum number of images per batch.",
            rich_help_panel=SPEED,
        ),
    ] = 8,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Detect people's poses in images, and write a pose file.

    To resume, run the same command again: it keeps the poses it has, and what failed is
    tried again only if the image has changed.
    If you pass other images, their poses are added to the same file.

    Exit code: 0 all done, 1 some images failed, 2 nothing was started, 130 interrupted.
    """
    request = DetectionRequest(
        images=tuple(images),
        out=out,
        pose_format=pose_format,
        choice=PersonChoice(person, min_joints, threshold),
        preview=preview,
        limit=limit,
        overwrite=overwrite,
        retry_failed=retry_failed,
    )
    files = plan_job(request, lambda note: echo(note, quiet=quiet or as_json))
    path = find_checkpoint(checkpoint).require(
        download_weights=download_weights,
        announce=lambda message: echo(message, quiet=quiet or as_json),
    )
    reporter = _Reporter(
        out, path, len(files), quiet=quiet or as_json, as_json=as_json, verbose=verbose
    )
    if dry_run:
        skipped, _ = split_finished(request, files, checkpoint_sha256(path))
        for outcome in skipped:
            reporter.add(outcome)
        return reporter.finish("dry run")
    detector = Detector(path, request.choice, batch_size=batch_size)
    line = ProgressLine(len(files), "detect", quiet=reporter.quiet)
    with StopRequest() as stop, line.shown():
        for outcome in run_job(request, files, detector, lambda: stop.requested, reporter.warn):
            reporter.add(outcome)
            failed = reporter.counts[Status.FAILED]
            line.advance(f"{failed:,} failed" if failed else "")
    interrupted = stop.requested and reporter.counts.total() < len(files)
    return reporter.finish("interrupted" if interrupted else "finished", detector.device)


@dataclass
class _Reporter:
    """Counts the outcomes of a run and prints them.

    Attributes:
        out: the pose file or folder.
        checkpoint: the checkpoint file.
        planned: number of images in the job.
        quiet: print only errors.
        as_json: print one JSON document instead of a table.
        verbose: print a line for every image.
        counts: number of images by status.
        images: the JSON object of each image, if `as_json`.
        failures: the first failures, up to `MAX_LISTED`.
    """

    out: Path
    checkpoint: Path
    planned: int
    quiet: bool
    as_json: bool
    verbose: bool
    counts: Counter[Status] = field(default_factory=Counter)
    images: list[dict[str, Any]] = field(default_factory=list)
    failures: list[DetectionOutcome] = field(default_factory=list)

    def warn(self, message: str) -> None:
        echo(message, quiet=self.quiet)

    def add(self, outcome: DetectionOutcome) -> None:
        """Count an image's outcome, and print its line if `verbose`."""
        self.counts[outcome.status] += 1
        if outcome.status is Status.FAILED and len(self.failures) < MAX_LISTED:
            self.failures.append(outcome)
        if self.as_json:
            self.images.append(
                {
                    "picture": outcome.name,
                    "status": str(outcome.status),
                    "reason": outcome.reason,
                    "people": outcome.people,
                    "joints": outcome.joints,
                }
            )
        if self.verbose:
            details = outcome.reason or f"{outcome.joints} joints, {outcome.people} people"
            echo(f"{outcome.status}  {outcome.name}  {details}", quiet=self.quiet)

    def finish(self, state: str, device: str = "") -> ExitCode:
        """Print the summary and return the exit code.

        Args:
            state: "finished", "interrupted" or "dry run".
            device: where the network ran; empty in a dry run.
        """
        counts = {status.value: self.counts[status] for status in Status}
        rows = self._table_rows(counts, device, is_dry_run=state == "dry run")
        print_table(rows, quiet=self.quiet)
        if self.as_json:
            failed = [{"picture": f.name, "reason": f.reason} for f in self.failures]
            print_json(
                {
                    "state": state,
                    "counts": {"planned": self.planned, **counts},
                    "out": str(self.out),
                    "record": str(log_path(self.out)),
                    "checkpoint": str(self.checkpoint),
                    "device": device,
                    "pictures": self.images,
                }
                | first_of("failed", failed, self.counts[Status.FAILED])
            )
        self._print_failures()
        if state == "interrupted":
            self.warn("Interrupted. Finished images are kept; run the same command to resume.")
            return ExitCode.INTERRUPTED
        return ExitCode.SOME_FAILED if self.counts[Status.FAILED] else ExitCode.DONE

    def _table_rows(
        self, counts: dict[str, int], device: str, *, is_dry_run: bool
    ) -> dict[str, str]:
        if is_dry_run:
            counts = {
                "planned": self.planned,
                "skipped": counts["skipped"],
                "to do": self.planned - counts["skipped"],
            }
        else:
            counts = {"planned": self.planned, **counts}
        rows = {name: f"{count:,}" for name, count in counts.items()}
        if device:
            rows["device"] = device
        return rows | {"checkpoint": str(self.checkpoint), "poses": str(self.out)}

    def _print_failures(self) -> None:
        if not self.failures:
            return
        shown = self.failures[:MAX_FAILURES_SHOWN]
        lines = ["No pose found in:", *(f"  {outcome.name}: {outcome.reason}" for outcome in shown)]
        if hidden := self.counts[Status.FAILED] - len(shown):
            lines.append(f"  and {hidden:,} more, listed in {log_path(self.out)}")
        echo("\n".join(lines), quiet=self.as_json)
