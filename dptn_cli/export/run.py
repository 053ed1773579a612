"""Export a checkpoint from start to end, as `dptn export` does."""

from dataclasses import dataclass
from pathlib import Path

from dptn_cli.enums import Precision, Runtime
from dptn_cli.errors import InputError
from dptn_cli.export.calibration import read_calibration
from dptn_cli.export.onnx import Verification, export
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.transfer.plan import TransferRequest, check_output_file
from dptn_cli.types import ImageSpec, NoProgress, Progress


@dataclass(frozen=True)
class ExportRequest:
    """The options of `dptn export`.

    Attributes:
        checkpoint: a published `*_net_G.pth`, or a `generator-*.pth` of `dptn train`.
        out: the ONNX file to write.
        dataset: `fashion` or `market`, whose image sizes are used; None for the sizes that the
            checkpoint stores.
        precision: arithmetic of the model.
        runtime: the runtimes that the graph is made for.
        calibration_pairs: the pair list for int8; None for the other precisions.
        images: folder of that list's images; None for the folder of the list.
        keypoints: pose files of these images.

    Raises:
        InputError: options contradict each other, or the data set is unknown.
    """

    checkpoint: Path
    out: Path
    dataset: str | None = None
    precision: Precision = Precision.FP32
    runtime: Runtime = Runtime.ANY
    calibration_pairs: Path | None = None
    images: Path | None = None
    keypoints: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        is_int8 = self.precision is Precision.INT8
        if is_int8 != (self.calibration_pairs is not None):
            raise InputError("--precision int8 and --calibrate PAIRS.csv go together")
        if is_int8 and self.runtime is Runtime.CUDA:
            raise InputError("--precision int8 is for CPUs: leave out --runtime cuda, or use fp16")
        if (self.images or self.keypoints) and not self.calibration_pairs:
            raise InputError("--images and --keypoints go with --calibrate")
        if self.dataset is not None and self.dataset not in IMAGE_SPECS:
            raise InputError(f"--dataset {self.dataset}: must be one of {', '.join(IMAGE_SPECS)}")


@dataclass(frozen=True)
class ExportResult:
    """A written ONNX file.

    Attributes:
        spec: the images that the model was trained on.
        verification: the differences between the model's images and PyTorch's.
        megabytes: size of the file, in units of 10^6 bytes.
        note: which weights were used, if the file holds more; else empty.
    """

    spec: ImageSpec
    verification: Verification
    megabytes: float
    note: str = ""


def export_checkpoint(request: ExportRequest, progress: Progress | None = None) -> ExportResult:
    """Read a checkpoint and write it as a verified ONNX file.

    Args:
        request: what to export, and how.
        progress: receives the stages of the work.

    Raises:
        InputError: the output or the calibration images cannot be used, or the image sizes are
            not known.
        ModelError: the checkpoint cannot be read, or the export or its verification failed.
    """
    # Before the checkpoint is read: a path that cannot be written should fail at once.
    check_output_file(request.out)
    progress = progress or NoProgress()
    with progress.stage("reading the checkpoint", 1):
        loaded = load_generator(request.checkpoint)
    spec = IMAGE_SPECS[request.dataset] if request.dataset else loaded.spec
    if spec is None:
        raise InputError(
            f"{request.checkpoint}: a published checkpoint does not store its image sizes: "
            "add --dataset fashion or --dataset market"
        )
    calibration = None
    if request.calibration_pairs:
        pairs = TransferRequest(
            request.out.parent,
            request.calibration_pairs,
            request.images,
            keypoints=request.keypoints,
        )
        with progress.stage("reading the images", 1):
            calibration = read_calibration(pairs, spec)
    verification = export(
        loaded,
        spec,
        request.out,
        request.precision,
        runtime=request.runtime,
        calibration=calibration,
        progress=progress,
    )
    return ExportResult(spec, verification, request.out.stat().st_size / 1e6, loaded.note)
