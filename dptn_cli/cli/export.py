"""`dptn export`."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dptn_cli.cli.console import error_boundary, print_json, say
from dptn_cli.cli.options import Json, Quiet
from dptn_cli.errors import ExitCode, InputError, MissingDependency


class PrecisionName(StrEnum):
    """Of weights and arithmetic."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class TargetName(StrEnum):
    """What the graph is made for."""

    ANY = "any"
    CUDA = "cuda"


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
        PrecisionName, typer.Option(help="fp16: for GPUs; int8: for CPUs, needs --calibrate.")
    ] = PrecisionName.FP32,
    target: Annotated[
        TargetName,
        typer.Option(
            help="any: for CPUs, TensorRT and other runtimes; cuda: each attention as one "
            "operator that only onnxruntime has."
        ),
    ] = TargetName.ANY,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Pair list of pictures as the model will see them; for int8."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of --calibrate's pictures; default: its own.")
    ] = None,
    keypoints: Annotated[
        list[Path] | None, typer.Option(help="Pose files of --calibrate's pictures.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> ExitCode:
    """Turn a trained generator into one ONNX file, and prove it against PyTorch."""
    try:
        from dptn_cli.export import export as write_onnx
        from dptn_cli.network.checkpoint import load_generator
        from dptn_cli.network.config import FRAMES
        from dptn_cli.plan import check_out_file
    except ImportError as error:
        raise MissingDependency("dptn export", error.name or "torch", INSTALL) from error

    if (precision is PrecisionName.INT8) != (calibrate is not None):
        raise InputError("--precision int8 and --calibrate PAIRS.csv go together")
    if precision is PrecisionName.INT8 and target is TargetName.CUDA:
        raise InputError("--precision int8 is for CPUs: leave out --target cuda, or take fp16")
    if (images or keypoints) and not calibrate:
        raise InputError("--images and --keypoints go with --calibrate")
    if dataset is not None and dataset not in FRAMES:
        raise InputError(f"--dataset {dataset}: it is one of {', '.join(FRAMES)}")
    check_out_file(out)
    loaded = load_generator(checkpoint)
    frame = FRAMES[dataset] if dataset else loaded.frame
    if frame is None:
        raise InputError(
            f"{checkpoint} is a published checkpoint, which does not tell its sizes: "
            "add --dataset fashion or --dataset market"
        )
    calibration = None
    if calibrate:
        from dptn_cli.calibration import read_calibration
        from dptn_cli.plan import Request

        request = Request(out.parent, calibrate, images, keypoints=tuple(keypoints or ()))
        calibration = read_calibration(request, frame)
    proof = write_onnx(
        loaded, frame, out, precision.value, target=target.value, calibration=calibration
    )
    size_mb = out.stat().st_size / 1e6
    say(
        f"{out}: {size_mb:.1f} MB, {frame.dataset}, pictures of "
        f"{frame.image_size[0]}x{frame.image_size[1]}. Beside PyTorch: largest difference "
        f"{proof.largest_levels} of 255 levels, {proof.share:.2%} of the values differ, "
        f"PSNR {proof.psnr_db:.1f} dB.",
        quiet=quiet or as_json,
    )
    if as_json:
        print_json(
            {
                "model": str(out),
                "dataset": frame.dataset,
                "megabytes": round(size_mb, 3),
                "largest_levels": proof.largest_levels,
                "share_different": proof.share,
                "psnr_db": None if math.isinf(proof.psnr_db) else round(proof.psnr_db, 2),
                "precision": precision.value,
                "target": target.value,
            }
        )
    return ExitCode.DONE


INSTALL = "pip install 'dptn-cli[export]'"
