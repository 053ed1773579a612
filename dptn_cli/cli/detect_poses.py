"""`dptn detect-poses`."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dptn_cli.cli.console import ProgressLine, echo, error_boundary, print_json, print_table
from dptn_cli.cli.options import DryRun, Json, Quiet, Verbose
from dptn_cli.enums import Person, PoseFormat
from dptn_cli.errors import ExitCode, InputError

if TYPE_CHECKING:
    from dptn_cli.detect.job import Request
    from dptn_cli.detect.record import Entry
    from dptn_cli.io.image_folders import ImageFile

MAX_FAILURES_SHOWN = 20


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def detect_poses(
    images: Annotated[list[Path], typer.Argument(help="Images, folders (recursive) and patterns.")],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="The pose file; for openpose and openpifpaf a folder."),
    ] = Path("keypoints.csv"),
    pose_format: Annotated[
        PoseFormat, typer.Option("--format", help="csv is what the other commands read first.")
    ] = PoseFormat.CSV,
    checkpoint: Annotated[
        str,
        typer.Option(
            help="A file, or a published one: shufflenetv2k30, shufflenetv2k16 or resnet50."
        ),
    ] = "shufflenetv2k30",
    download_weights: Annotated[
        bool, typer.Option(help="Fetch a named checkpoint that is missing.")
    ] = False,
    person: Annotated[
        Person, typer.Option(help="Whose pose, of several people; error: nobody's.")
    ] = Person.LARGEST,
    min_joints: Annotated[
        int, typer.Option(min=1, max=18, help="Fewer of the 18 joints are no pose.")
    ] = 5,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="A joint of less confidence is missing.")
    ] = 0.15,
    preview: Annotated[
        Path | None, typer.Option(help="Folder for the images with the skeleton on them.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=1024, help="Most images at once.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Find everything anew; forget earlier runs.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> ExitCode:
    """Find people's poses on images with openpifpaf, and write a pose file.

    Run the same command again to go on: what is found is kept, what failed is tried again. A run
    over other images adds their poses to the same file.
    Exit code: 0 all done, 1 some failed, 2 nothing started, 130 interrupted.
    """
    from dptn_cli.detect import Choice
    from dptn_cli.detect.job import Request, list_images

    request = Request(
        images=tuple(images),
        out=out,
        pose_format=pose_format,
        choice=Choice(person, min_joints, threshold),
        preview=preview,
        limit=limit,
        overwrite=overwrite,
    )
    listed = list_images(request)
    show = _Reporter(request, checkpoint, quiet=quiet or as_json, as_json=as_json, verbose=verbose)
    path = _checkpoint(checkpoint, show, download_weights=download_weights)
    if dry_run:
        return _preview_run(listed, path, show)
    return _detect(listed, path, batch_size, show)


@dataclass
class _Reporter:
    """What to tell the user, and the tally that is told."""

    request: "Request"
    checkpoint: str
    quiet: bool
    as_json: bool
    verbose: bool
    counts: Counter[str] = field(default_factory=Counter)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def count(self, entry: "Entry") -> None:
        self.counts[entry.status] += 1
        self.entries.append(
            {
                "picture": entry.name,
                "status": str(entry.status),
                "reason": entry.reason,
                "people": entry.people,
                "joints": entry.joints,
            }
        )
        if self.verbose:
            note = entry.reason or f"{entry.joints} joints, {entry.people} people"
            echo(f"{entry.status}  {entry.name}  {note}", quiet=self.quiet)


def _checkpoint(name: str, show: _Reporter, *, download_weights: bool) -> Path:
    """The checkpoint's file; fetched only if the user said so."""
    from dptn_cli.detect import find_checkpoint
    from dptn_cli.io.weights import download

    found = find_checkpoint(name)
    if isinstance(found, Path):
        return found
    if not download_weights:
        raise InputError(f"--checkpoint {name}: {found.why_missing()}")
    echo(f"Fetching {found.url}", quiet=show.quiet)
    download(found)
    return found.path


def _preview_run(images: "list[ImageFile]", checkpoint: Path, show: _Reporter) -> ExitCode:
    from dptn_cli.detect.checkpoint import file_sha256
    from dptn_cli.detect.job import to_do

    skipped, left = to_do(show.request, images, file_sha256(checkpoint))
    for entry in skipped:
        show.count(entry)
    return _tell("dry run", len(skipped) + len(left), checkpoint, "", show)


def _detect(
    images: "list[ImageFile]", checkpoint: Path, batch_size: int, show: _Reporter
) -> ExitCode:
    from dptn_cli.detect import Detector
    from dptn_cli.detect.job import run
    from dptn_cli.signals import StopRequest

    detector = Detector(checkpoint, show.request.choice, batch_size=batch_size)
    by_name = {image.name: image for image in images}
    line = ProgressLine(len(by_name), "detect", quiet=show.quiet)
    with StopRequest() as stop, line.shown():
        for entry in run(show.request, images, detector, lambda: stop.requested):
            show.count(entry)
            _draw(entry, by_name[entry.name], show)
            failed = show.counts["failed"]
            line.advance(f"{failed:,} failed" if failed else "")
    state = "interrupted" if stop.requested and show.counts.total() < len(by_name) else "finished"
    return _tell(state, len(by_name), checkpoint, detector.device, show)


def _draw(entry: "Entry", image: "ImageFile", show: _Reporter) -> None:
    """The preview of an image, where one was asked for and is not there from an earlier run."""
    from dptn_cli.detect.job import preview_path, write_preview

    folder = show.request.preview
    if not (folder and entry.found):
        return
    if entry.status == "skipped" and preview_path(folder, entry.name).is_file():
        return
    try:
        write_preview(folder, image, entry.found)
    except InputError as error:
        echo(f"No preview of {entry.name}: {error}", quiet=show.quiet)


def _tell(state: str, planned: int, checkpoint: Path, device: str, show: _Reporter) -> ExitCode:
    """Show how it went; the exit code for it."""
    from dptn_cli.detect.record import record_path

    out = show.request.out
    counts = {name: show.counts[name] for name in ("done", "skipped", "failed")}
    document: dict[str, Any] = {
        "state": state,
        "counts": {"planned": planned, **counts},
        "out": str(out),
        "record": str(record_path(out)),
        "checkpoint": str(checkpoint),
        "device": device,
        "pictures": show.entries,
    }
    failures = [entry for entry in show.entries if entry["status"] == "failed"]
    if show.as_json:
        print_json(document)
    elif not show.quiet:
        print_table(_rows(document))
    if failures and not show.as_json:
        lines = [f"  {one['picture']}: {one['reason']}" for one in failures[:MAX_FAILURES_SHOWN]]
        echo("\n".join(["No pose found on:", *lines]))
        if len(failures) > len(lines):
            echo(f"  and {len(failures) - len(lines):,} more, in {record_path(out)}")
    if state == "interrupted":
        echo("Interrupted; what was found is kept. The same command goes on.", quiet=show.quiet)
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if failures else ExitCode.DONE


def _rows(document: dict[str, Any]) -> dict[str, str]:
    counts = document["counts"]
    rows = {name: f"{count:,}" for name, count in counts.items()}
    if document["state"] == "dry run":
        rows = {"planned": rows["planned"], "skipped": rows["skipped"]}
        rows["to do"] = f"{counts['planned'] - counts['skipped']:,}"
    else:
        rows["run on"] = document["device"]
    return rows | {"checkpoint": document["checkpoint"], "poses": document["out"]}
