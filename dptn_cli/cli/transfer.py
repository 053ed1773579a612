"""`dptn transfer`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.console import error_boundary
from dptn_cli.cli.detection import check_local, detect_unposed, tried_before
from dptn_cli.cli.options import (
    DryRun,
    Json,
    ProviderOption,
    Quiet,
    Verbose,
    parse_batch_size,
    parse_devices,
)
from dptn_cli.cli.transfer_report import Reporter, warn
from dptn_cli.cli.transfer_run import (
    RunOptions,
    preview_job,
    transfer_here,
    transfer_on_devices,
    transfer_on_ray,
)
from dptn_cli.enums import Fit, ImageFormat, Provider, Retarget
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.io.paths import parse_location

if TYPE_CHECKING:
    from dptn_cli.transfer.plan import Request
    from dptn_cli.types import FoundPose, Job

MODEL_VARIABLE = "DPTN_MODEL"
DEFAULT_DETECTOR = "shufflenetv2k30"
PATH_OR_URL = "PATH|URL"


@error_boundary
def transfer(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Images and folders of images, for --poses."),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar=PATH_OR_URL,
            help="Folder for results, manifest.jsonl and run.json.",
        ),
    ] = "results",
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar=PATH_OR_URL, help="Pair list: a CSV with the columns from,to and perhaps out."
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar=PATH_OR_URL, help="Folder of the pair list's images; default: its own."
        ),
    ] = None,
    poses: Annotated[
        list[str] | None,
        typer.Option(
            metavar=PATH_OR_URL,
            help="Every source in every one of these: images, pose files, folders.",
        ),
    ] = None,
    keypoints: Annotated[
        list[str] | None,
        typer.Option(
            metavar=PATH_OR_URL,
            help="Pose file (annotation CSV, COCO, openpifpaf or OpenPose JSON) or a folder of "
            "them; keypoints.csv beside images is read by itself.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="ONNX file; default: $DPTN_MODEL, or the only one in ./models."),
    ] = None,
    fit: Annotated[
        Fit,
        typer.Option(
            help="Images of other sizes; auto: stretched if the aspect is within 5 %, else "
            "cropped around the person."
        ),
    ] = Fit.AUTO,
    retarget: Annotated[
        Retarget | None,
        typer.Option(
            help="scale: poses brought to the source person's size and ground; default: scale "
            "with --poses, none with --pairs."
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="openpifpaf checkpoint, file or name, for images without keypoints; what it "
            f"finds is kept in keypoints.csv beside the results; default: {DEFAULT_DETECTOR}."
        ),
    ] = None,
    provider: ProviderOption = Provider.AUTO,
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Most images at once; auto measures it once, and is 8 with --devices and --ray.",
        ),
    ] = "auto",
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            max=256,
            help="Threads that read, decode, encode and write; 0: by the cores, 32 with URLs.",
        ),
    ] = 0,
    devices: Annotated[
        str | None,
        typer.Option(metavar="0,1,...", help="GPUs to use, a process for each; default: GPU 0."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Ray cluster: its address, auto (this node's) or local (one for this run).",
        ),
    ] = None,
    result_format: Annotated[
        ImageFormat, typer.Option("--format", help="jpg is what the published code saves.")
    ] = ImageFormat.PNG,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG; 75 as published.")] = 75,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    shard: Annotated[
        int | None,
        typer.Option(min=1, help="Results in numbered subfolders of at most so many."),
    ] = None,
    grid: Annotated[
        bool,
        typer.Option(help="Contact sheets in OUT/grids: source, pose, result, target; 32 a page."),
    ] = False,
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
    from dptn_cli.inference.model_file import read_model
    from dptn_cli.transfer.plan import Request, make_job

    request = Request(
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
        fit=fit,
        retarget=retarget,
    )
    _check_mode(request)
    wanted, numbers = parse_batch_size(batch_size), parse_devices(devices)
    if numbers and ray:
        raise InputError("--devices is for this machine, --ray for a cluster: not both")
    loaded = read_model(model or default_model())
    job = make_job(request, loaded)
    show = Reporter(quiet=quiet, as_json=as_json, verbose=verbose)
    if job.missing_pose:
        found = _find_poses(job, request.out, detector, dry_run=dry_run, quiet=show.silent)
        job = make_job(replace(request, detected=found), loaded)
    warn(job, show)
    if dry_run:
        return preview_job(job, show, overwrite=overwrite)
    how = RunOptions(
        provider, wanted, workers or default_workers(remote=job.remote), overwrite, grid
    )
    if ray:
        return transfer_on_ray(job, how, ray, show)
    if numbers:
        return transfer_on_devices(job, how, numbers, show)
    return transfer_here(job, how, show)


def _find_poses(
    job: "Job", out: Path, detector: str | None, *, dry_run: bool, quiet: bool
) -> "dict[Path, FoundPose | str]":
    """Poses for images that no file has, or why there are none; a dry run detects nothing."""
    check_local(job.missing_pose, out)
    found: dict[Path, FoundPose | str] = {}
    if detector is None:
        found |= tried_before(job.missing_pose)
    left = [image for image in job.missing_pose if image not in found]
    if left and not dry_run:
        found |= detect_unposed(left, out, detector or DEFAULT_DETECTOR, quiet=quiet)
    return found


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


def default_workers(*, remote: bool = False) -> int:
    """Threads that read, decode, encode and write, where nobody says."""
    from dptn_cli.transfer.settings import REMOTE_WORKERS

    if remote:
        return REMOTE_WORKERS
    return max(1, min(8, os.cpu_count() or 1))
