"""`dptn export`."""

import math
from pathlib import Path
from typing import Annotated

import typer

from dptn_cli.cli.console import echo, error_boundary, print_json
from dptn_cli.cli.options import Json, Quiet
from dptn_cli.enums import Precision, Runtime
from dptn_cli.errors import ExitCode, InputError, MissingDependency

app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Published *_net_G.pth, or a generator-*.pth of `dptn train`.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The ONNX file to write.")],
    dataset: Annotated[
        str | None,
        typer.Option(help="fashion or market: the sizes of a published checkpoint."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="fp16: for GPUs; int8: for CPUs, needs --calibrate.")
    ] = Precision.FP32,
    runtime: Annotated[
        Runtime,
        typer.Option(
            "--runtime",
            "--target",
            help="any: for CPUs, TensorRT and other ONNX runtimes; cuda: attention as an operator "
            "that only onnxruntime has.",
        ),
    ] = Runtime.ANY,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Pair list of images as the model will see them; for int8."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of --calibrate's images; default: its own.")
    ] = None,
    keypoints: Annotated[
        list[Path] | None, typer.Option(help="Pose files of --calibrate's images.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> ExitCode:
    """Turn a trained generator into one ONNX file, and prove it against PyTorch."""
    try:
        from dptn_cli.export.onnx import export as write_onnx
        from dptn_cli.network.checkpoint import load_generator
        from dptn_cli.network.config import IMAGE_SPECS
        from dptn_cli.transfer.plan import check_output_file
    except ImportError as error:
        raise MissingDependency("dptn export", error.name or "torch", INSTALL) from error

    if (precision is Precision.INT8) != (calibrate is not None):
        raise InputError("--precision int8 and --calibrate PAIRS.csv go together")
    if precision is Precision.INT8 and runtime is Runtime.CUDA:
        raise InputError("--precision int8 is for CPUs: leave out --runtime cuda, or take fp16")
    if (images or keypoints) and not calibrate:
        raise InputError("--images and --keypoints go with --calibrate")
    if dataset is not None and dataset not in IMAGE_SPECS:
        raise InputError(f"--dataset {dataset}: it is one of {', '.join(IMAGE_SPECS)}")
    check_output_file(out)
    loaded = load_generator(checkpoint)
    spec = IMAGE_SPECS[dataset] if dataset else loaded.spec
    if spec is None:
        raise InputError(
            f"{checkpoint} is a published checkpoint, which does not tell its sizes: "
            "add --dataset fashion or --dataset market"
        )
    calibration = None
    if calibrate:
        from dptn_cli.export.calibration import read_calibration
        from dptn_cli.transfer.plan import Request

        request = Request(out.parent, calibrate, images, keypoints=tuple(keypoints or ()))
        calibration = read_calibration(request, spec)
    verification = write_onnx(
        loaded, spec, out, precision, runtime=runtime, calibration=calibration
    )
    size_mb = out.stat().st_size / 1e6
    echo(
        f"{out}: {size_mb:.1f} MB, {spec.dataset}, images of "
        f"{spec.image_size[0]}x{spec.image_size[1]}. Beside PyTorch: largest difference "
        f"{verification.largest_levels} of 255 levels, {verification.share:.2%} of the values "
        f"differ, PSNR {verification.psnr_db:.1f} dB.",
        quiet=quiet or as_json,
    )
    if as_json:
        print_json(
            {
                "model": str(out),
                "dataset": spec.dataset,
                "megabytes": round(size_mb, 3),
                "largest_levels": verification.largest_levels,
                "share_different": verification.share,
                "psnr_db": None
                if math.isinf(verification.psnr_db)
                else round(verification.psnr_db, 2),
                "precision": precision.value,
                "target": runtime.value,
            }
        )
    return ExitCode.DONE


INSTALL = "pip install 'dptn-cli[export]'"
