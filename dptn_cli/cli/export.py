"""`dptn export`."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo, print_json
from dptn_cli.cli.durations import format_duration
from dptn_cli.cli.options import Json, LogFile, Quiet
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.enums import Precision, Runtime
from dptn_cli.errors import ExitCode, MissingDependency

INSTALL = "pip install 'dptn-cli[export]'"


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A published *_net_G.pth, or a generator-*.pth of `dptn train`."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="ONNX file to write.")],
    dataset: Annotated[
        str | None,
        typer.Option(help="fashion or market: image sizes of a published checkpoint."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="fp16 is for GPUs; int8 is for CPUs and needs --calibrate.")
    ] = Precision.FP32,
    runtime: Annotated[
        Runtime,
        typer.Option(
            "--runtime",
            "--target",
            help="any: CPUs, TensorRT and other ONNX runtimes. cuda: onnxruntime only, with "
            "attention as one of its own operators.",
        ),
    ] = Runtime.ANY,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="For int8: pair list of images like those that the model will be used on."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of --calibrate's images; default: the list's folder."),
    ] = None,
    keypoints: Annotated[
        list[Path] | None, typer.Option(help="Pose files of --calibrate's images.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Convert a trained generator to one ONNX file and verify it against PyTorch."""
    try:
        from dptn_cli.export.run import ExportRequest, export_checkpoint
    except ImportError as error:
        raise MissingDependency("dptn export", error.name or "torch", INSTALL) from error

    result = export_checkpoint(
        ExportRequest(
            checkpoint,
            out,
            dataset,
            precision,
            runtime,
            calibration_pairs=calibrate,
            images=images,
            keypoints=tuple(keypoints or ()),
        ),
        _Stages(quiet=quiet or as_json),
    )
    spec, verification = result.spec, result.verification
    if result.note:
        echo(f"{checkpoint}: {result.note}")
    echo(
        f"{out}: {result.megabytes:.1f} MB, {spec.dataset}, images of "
        f"{spec.image_size[0]}x{spec.image_size[1]}. Compared with PyTorch: largest difference "
        f"{verification.largest_levels} of 255 levels, {verification.share_different:.2%} of the "
        f"values differ, PSNR {verification.psnr_db:.1f} dB.",
        quiet=quiet or as_json,
    )
    if as_json:
        is_exact = math.isinf(verification.psnr_db)  # JSON has no infinity.
        print_json(
            {
                "model": str(out),
                "dataset": spec.dataset,
                "megabytes": round(result.megabytes, 3),
                "largest_levels": verification.largest_levels,
                "share_different": verification.share_different,
                "psnr_db": None if is_exact else round(verification.psnr_db, 2),
                "precision": precision.value,
                "target": runtime.value,
            }
        )
    return ExitCode.DONE


@dataclass(frozen=True)
class _Stages:
    """Shows the stage of an export that is running, and prints the duration of each when it ends.

    Attributes:
        quiet: whether to write them to the log file only.
    """

    quiet: bool

    @contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """See `dptn_cli.types.Progress.stage`."""
        started_s = time.monotonic()
        line = ProgressLine(total, label, quiet=self.quiet)
        with line.shown():
            yield lambda units: line.advance(items=units)
        took = format_duration(time.monotonic() - started_s)
        echo(f"{label}: {took}", quiet=self.quiet)
