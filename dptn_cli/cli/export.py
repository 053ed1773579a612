"""`dptn export`."""

import math
from pathlib import Path
from typing import Annotated

import typer

from dptn_cli.cli.console import echo, error_boundary, print_json
from dptn_cli.cli.options import Json, Quiet
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
        )
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
