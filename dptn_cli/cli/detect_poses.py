"""`dptn detect-poses`."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import (
    MAX_LISTED,
    describe_crowds,
    echo,
    first_of,
    print_json,
    print_table,
)
from dptn_cli.cli.options import (
    SPEED,
    DryRun,
    Json,
    LogFile,
    Quiet,
    Verbose,
    detector_option,
)
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.detect import AUTO, PersonChoice, SelectedDetector, select_detector
from dptn_cli.detect.detector import MIN_CONFIDENCE_MOVENET, MIN_CONFIDENCE_OPENPIFPAF
from dptn_cli.detect.job import DetectionRequest, plan_job, run_job, split_finished
from dptn_cli.detect.log import DetectionOutcome, log_path
from dptn_cli.detect.people import MIN_JOINTS
from dptn_cli.detect.selection import DEFAULT_BATCH_SIZE
from dptn_cli.enums import Person, PoseFormat, Status
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.signals import StopRequest
from dptn_cli.transfer.checks import MAX_NAMES_SHOWN, name_with_people

MAX_FAILURES_SHOWN = 20
PERSON_TITLES = {
    Person.LARGEST: "the largest",
    Person.BEST: "the one with the highest score",
    Person.CENTER: "the one nearest to the center",
    Person.ERROR: "the only one with enough joints",
}
INPUT, DETECTOR, PEOPLE, RESULTS = "Input", "Detector", "People", "Results"

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
    detector: Annotated[str, detector_option("Pose detector", panel=DETECTOR)] = AUTO,
    checkpoint: Annotated[
        str | None, typer.Option(hidden=True, help="The name of --detector in older versions.")
    ] = None,
    download_weights: Annotated[
        bool,
        typer.Option(
            help="Download a published checkpoint of openpifpaf if it is missing.",
            rich_help_panel=DETECTOR,
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
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="X",
            help="Ignore joints with a lower confidence. Default: "
            f"{MIN_CONFIDENCE_MOVENET} with movenet, {MIN_CONFIDENCE_OPENPIFPAF} with openpifpaf.",
            rich_help_panel=PEOPLE,
        ),
    ] = None,
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
            help="Maximum number of images per batch of openpifpaf.",
            rich_help_panel=SPEED,
        ),
    ] = DEFAULT_BATCH_SIZE,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Detect people's poses in images, and write a pose file.

    Example: dptn detect-poses photos/ -o photos/keypoints.csv

    To resume, run the same command again: it keeps the poses it has, and what
    failed is tried again only if the image has changed.
    If you pass other images, their poses are added to the same file.

    Exit code: 0 all done, 1 some images failed, 2 nothing was started,
    130 interrupted.
    """
    if checkpoint and detector != AUTO:
        raise InputError("--checkpoint is the old name of --detector: use only one of them")
    detector = checkpoint or detector
    request = DetectionRequest(
        images=tuple(images),
        out=out,
        pose_format=pose_format,
        choice=PersonChoice(person, min_joints, threshold),
        preview=preview,
        limit=limit,
        overwrite=overwrite,
        retry_failed=retry_failed,
        any_detector=detector == AUTO,
    )
    notes: list[str] = []

    def add_note(note: str) -> None:
        notes.append(note)
        echo(note, quiet=quiet or as_json)

    files = plan_job(request, add_note)
    selected = select_detector(detector, download_weights=download_weights)
    reporter = _Reporter(
        out,
        selected,
        person,
        len(files),
        quiet=quiet or as_json,
        as_json=as_json,
        verbose=verbose,
        notes=notes,
    )
    if selected.checkpoint is None and download_weights:
        reporter.warn("--download-weights has no effect: MoveNet is part of dptn.")
    if selected.checkpoint is None and batch_size != DEFAULT_BATCH_SIZE:
        reporter.warn("--batch-size has no effect: MoveNet looks at one image at a time.")
    weights = selected.checkpoint.missing_weights if selected.checkpoint else None
    if dry_run and download_weights and weights:
        reporter.warn(f"The run would download {weights.url}")
        return reporter.finish("dry run")
    selected.require(download_weights=download_weights, announce=reporter.warn)
    if dry_run:
        skipped, _ = split_finished(request, files, selected.read_id())
        for outcome in skipped:
            reporter.add(outcome)
        return reporter.finish("dry run")
    loaded = selected.load(request.choice, batch_size=batch_size)
    line = ProgressLine(len(files), "detect", quiet=reporter.quiet)
    with StopRequest() as stop, line.shown():
        outcomes = run_job(
            request, files, loaded, lambda: stop.requested, reporter.add_missing_preview
        )
        for outcome in outcomes:
            reporter.add(outcome)
            failed = reporter.counts[Status.FAILED]
            line.advance(f"{failed:,} failed" if failed else "")
    interrupted = stop.requested and reporter.counts.total() < len(files)
    return reporter.finish("interrupted" if interrupted else "finished", loaded.device)


@dataclass
class _Reporter:
    """Counts the outcomes of a run and prints them.

    Attributes:
        out: the pose file or folder.
        detector: what finds the people.
        person: which of several people is chosen.
        planned: number of images in the job.
        quiet: print only errors.
        as_json: print one JSON document instead of a table.
        verbose: print a line for every image.
        counts: number of images by status.
        images: the JSON object of each image, if `as_json`.
        failures: the first failures, up to `MAX_LISTED`.
        crowded_count: number of images that show several people, one of whom was chosen.
        crowded: names of the first few of them, with their numbers of people.
        missing_previews: number of images without a preview, though one was wanted.
        notes: what was passed over, one line each.
    """

    out: Path
    detector: SelectedDetector
    person: Person
    planned: int
    quiet: bool
    as_json: bool
    verbose: bool
    counts: Counter[Status] = field(default_factory=Counter)
    images: list[dict[str, Any]] = field(default_factory=list)
    failures: list[DetectionOutcome] = field(default_factory=list)
    crowded_count: int = 0
    crowded: list[str] = field(default_factory=list)
    missing_previews: int = 0
    notes: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        echo(message, quiet=self.quiet)

    def add(self, outcome: DetectionOutcome) -> None:
        """Count an image's outcome, and print its line if `verbose`."""
        self.counts[outcome.status] += 1
        if outcome.found_pose and outcome.people > 1:
            self.crowded_count += 1
            if len(self.crowded) < MAX_NAMES_SHOWN:
                self.crowded.append(name_with_people(outcome.name, outcome.found_pose))
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

    def add_missing_preview(self, name: str, reason: str) -> None:
        """Count an image without a preview, and print why if it is one of the first."""
        self.missing_previews += 1
        if self.missing_previews <= MAX_FAILURES_SHOWN:
            self.warn(f"No preview of {name}: {reason}")

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
                    "detector": self.detector.name,
                    "checkpoint": str(self.detector.path or ""),
                    "several_people": self.crowded_count,
                    "missing_previews": self.missing_previews,
                    "notes": self.notes,
                    "device": device,
                    "pictures": self.images,
                }
                | first_of("failed", failed, self.counts[Status.FAILED])
            )
        if self.crowded_count:
            title = PERSON_TITLES[self.person]
            self.warn(describe_crowds(self.crowded_count, self.crowded, title))
        if (hidden := self.missing_previews - MAX_FAILURES_SHOWN) > 0:
            self.warn(f"No preview of {hidden:,} more images.")
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
                "failed": counts["failed"],
                "to do": self.planned - counts["skipped"] - counts["failed"],
            }
        else:
            counts = {"planned": self.planned, **counts}
        rows = {name: f"{count:,}" for name, count in counts.items()}
        if device:
            rows["device"] = device
        return rows | {"detector": self.detector.title, "poses": str(self.out)}

    def _print_failures(self) -> None:
        if not self.failures:
            return
        shown = self.failures[:MAX_FAILURES_SHOWN]
        lines = ["No pose found in:", *(f"  {outcome.name}: {outcome.reason}" for outcome in shown)]
        if hidden := self.counts[Status.FAILED] - len(shown):
            lines.append(f"  and {hidden:,} more, listed in {log_path(self.out)}")
        echo("\n".join(lines), quiet=self.as_json)
