"""Export of a trained generator to one self-contained ONNX file, verified against PyTorch.

The graph takes resized images and poses, and returns images (format 1):

    source (S, H, W, 3) uint8, source_pose (S, 18, 2) float32, target_pose (T, 18, 2) float32,
    source_index (T,) int64  ->  generated (T, H, W, 3) uint8

The numbers of sources S and of targets T are free. Everything that depends on the source alone
is computed S times, not T times.
"""

import io
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from dptn_cli import __version__
from dptn_cli.enums import Precision, Provider, Runtime
from dptn_cli.errors import ModelError, user_errors
from dptn_cli.export.int8 import Calibration, quantize
from dptn_cli.inference.denormals import denormals_flushed
from dptn_cli.inference.model_file import FORMAT, METADATA_PREFIX
from dptn_cli.inference.providers import EXECUTION_PROVIDERS, open_session
from dptn_cli.io.files import write_atomic
from dptn_cli.network.checkpoint import LoadedGenerator
from dptn_cli.network.export_generator import ExportGenerator, in_half_precision
from dptn_cli.network.fused_attention import with_fused_attention
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps, tensor_to_image
from dptn_cli.types import JOINTS, Batch, ImageSpec, NoProgress, Progress

OPSET = 20
# Sources and targets. Verification uses sizes other than the traced ones, and 1, which tracing
# could have turned into a constant.
TRACED_SIZES = (2, 3)
VERIFIED_SIZES = ((3, 5), (1, 1), (1, 4))
# Limits in fp32: the two round differently, and truncation to 8 bits turns that into one level.
MAX_LEVELS = 1
MAX_SHARE_DIFFERENT = 0.01
MIN_PSNR_DB = {"fp16": 45.0, "int8": 35.0}

PUBLISHED_LICENCE = (
    "Weights of the published DPTN checkpoints are under CC BY-NC 4.0: non-commercial use only."
)
OWN_LICENCE = "Weights under the terms of whoever trained them."


@dataclass(frozen=True)
class Verification:
    """The differences between onnxruntime's images and PyTorch's in float32.

    Attributes:
        largest_levels: largest difference of any value, in levels of 0..255.
        share_different: share of the values that differ, 0..1.
        psnr_db: PSNR, data range 255; infinite if no value differs.
    """

    largest_levels: int
    share_different: float
    psnr_db: float = math.inf


class TransferGraph(nn.Module):
    """A generator with the inputs and the output of format 1; exists only to be traced."""

    def __init__(self, generator: ExportGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, source: Tensor, source_pose: Tensor, target_pose: Tensor, source_index: Tensor
    ) -> Tensor:
        """Generate images; the module's docstring gives the shapes."""
        image = image_to_tensor(source).to(self.generator.image_weight.dtype)
        return tensor_to_image(self.generator(image, source_pose, target_pose, source_index))


def export(
    loaded: LoadedGenerator,
    spec: ImageSpec,
    out: Path,
    precision: Precision = Precision.FP32,
    *,
    runtime: Runtime = Runtime.ANY,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Write a generator as an ONNX file, but only if its images are PyTorch's.

    Args:
        loaded: the generator.
        spec: the images that it was trained on.
        out: the ONNX file; its folder is created, and the file is replaced atomically.
        precision: `fp16` stores and computes in float16, except for norms and softmax;
            `int8` quantises the convolutions.
        runtime: `any` uses standard ONNX operators only; `cuda` turns each attention into one
            of onnxruntime's own operators.
        calibration: images for `int8`, which requires them; ignored otherwise.
        progress: receives the stages of the work.

    Returns:
        The differences that were measured.

    Raises:
        ModelError: the export or its verification failed, or `out` cannot be written. An
            existing file at `out` is not touched.
        ValueError: `int8` without `calibration`.
    """
    if precision is not Precision.INT8:
        calibration = None
    elif calibration is None:
        raise ValueError("int8 needs images to calibrate on")
    progress = progress or NoProgress()
    with progress.stage("exporting", 1):
        model = _build_model(loaded, spec, precision=precision, runtime=runtime)
    examples = [_random_batch(spec, *sizes) for sizes in VERIFIED_SIZES]
    if calibration is not None:
        with progress.stage("quantising", 1):
            model = quantize(model, calibration.ranges)
        examples = list(calibration.verification)
    model_bytes = model.SerializeToString()
    with progress.stage("checking against PyTorch", len(examples)) as advance:
        verification = verify(loaded.generator, spec, model_bytes, examples, advance)
    _check_verification(verification, precision)
    with progress.stage("writing", 1), user_errors(out, "cannot be written", ModelError):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, lambda file: file.write(model_bytes))
    return verification


def _check_verification(verification: Verification, precision: Precision) -> None:
    if min_db := MIN_PSNR_DB.get(precision):
        if verification.psnr_db < min_db:
            raise ModelError(
                f"PSNR of the {precision} images against PyTorch's in float32 is "
                f"{verification.psnr_db:.1f} dB, but must be at least {min_db:.0f} dB. "
                "Nothing was written"
            )
    elif (
        verification.largest_levels > MAX_LEVELS
        or verification.share_different > MAX_SHARE_DIFFERENT
    ):
        raise ModelError(
            "onnxruntime's images differ from PyTorch's by up to "
            f"{verification.largest_levels} levels, in {verification.share_different:.2%} of the "
            f"values; at most {MAX_LEVELS} level in {MAX_SHARE_DIFFERENT:.0%} is allowed. "
            "Nothing was written"
        )


def _build_model(
    loaded: LoadedGenerator, spec: ImageSpec, *, precision: Precision, runtime: Runtime
) -> onnx.ModelProto:
    generator = ExportGenerator(loaded.generator, spec)
    if precision is Precision.FP16:
        generator = in_half_precision(generator)
    if runtime is Runtime.CUDA:
        generator = with_fused_attention(generator)
    model = _trace(TransferGraph(generator).eval(), spec)
    if precision is Precision.FP16:
        _softmax_in_float32(model.graph)
    metadata = _metadata(loaded, spec) | {"precision": precision.value, "target": runtime.value}
    for key, value in metadata.items():
        model.metadata_props.add(key=METADATA_PREFIX + key, value=value)
    onnx.checker.check_model(model)
    return model


def _metadata(loaded: LoadedGenerator, spec: ImageSpec) -> dict[str, str]:
    is_published = loaded.spec is None
    return {
        "format": FORMAT,
        "dataset": spec.dataset,
        "image_size": "{}x{}".format(*spec.image_size),
        "network_size": "{}x{}".format(*spec.network_size),
        "sigma": str(spec.sigma_px),
        "joints": str(JOINTS),
        "parameters": str(sum(p.numel() for p in loaded.generator.parameters())),
        "checkpoint_sha256": loaded.sha256,
        "created_by": f"dptn {__version__}",
        "licence": PUBLISHED_LICENCE if is_published else OWN_LICENCE,
    }


def _trace(transfer: TransferGraph, spec: ImageSpec) -> onnx.ModelProto:
    example = _random_batch(spec, *TRACED_SIZES).feeds()
    sources, targets = torch.export.Dim("S"), torch.export.Dim("T")
    # The exporter warns and prints about things that a user can do nothing about.
    with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            transfer,
            tuple(torch.from_numpy(value) for value in example.values()),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=list(example),
            output_names=["generated"],
            dynamic_shapes=({0: sources}, {0: sources}, {0: targets}, {0: targets}),
        )
    if program is None:
        raise ModelError("torch.onnx.export returned no program")
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # The exporter stores stack traces with this machine's paths.
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def _softmax_in_float32(graph: onnx.GraphProto) -> None:
    """Compute each softmax of a float16 graph in float32, by casts before and after it."""
    nodes = []
    for node in graph.node:
        if node.op_type != "Softmax":
            nodes.append(node)
            continue
        scores, weights = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{scores}_fp32", f"{weights}_fp32"
        nodes.append(_cast(scores, node.input[0], onnx.TensorProto.FLOAT))
        nodes.append(node)
        nodes.append(_cast(node.output[0], weights, onnx.TensorProto.FLOAT16))
    del graph.node[:]
    graph.node.extend(nodes)


def _cast(source: str, result: str, to: int) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [source], [result], to=to)


def _random_batch(spec: ImageSpec, sources: int, targets: int) -> Batch:
    """Draw seeded images and poses; some joints are missing or outside the image."""
    random = np.random.default_rng(sources * 100 + targets)
    size = np.array(spec.network_size)

    def poses(count: int) -> npt.NDArray[np.float32]:
        pose = random.uniform(-0.1, 1.1, (count, JOINTS, 2)) * size
        pose[random.random((count, JOINTS)) < 0.1] = -1
        pose_px: npt.NDArray[np.float32] = pose.astype(np.float32)
        return pose_px

    # Smooth images, because noise would exaggerate every rounding difference.
    coarse = random.integers(0, 256, (sources, 8, 8, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((1, -(-size[0] // 8), -(-size[1] // 8), 1), np.uint8))
    return Batch(
        np.ascontiguousarray(image[:, : size[0], : size[1]]),
        poses(sources),
        poses(targets),
        random.integers(0, sources, targets),
    )


@torch.no_grad()
def verify(
    generator: Generator,
    spec: ImageSpec,
    model_bytes: bytes,
    examples: Sequence[Batch],
    advance: Callable[[int], None] = lambda batches: None,
) -> Verification:
    """Compare the images of a serialised ONNX model with those of the generator.

    The generator runs as in training, without the rewriting for export, one source per target.

    Args:
        generator: the generator, in evaluation mode.
        spec: the images that it was trained on.
        model_bytes: the serialised ONNX model.
        examples: the batches to run both on.
        advance: called with 1 after each batch.
    """
    session = open_session(model_bytes, [(EXECUTION_PROVIDERS[Provider.CPU], {})])
    largest, different, values, squares = 0, 0, 0, 0.0
    for example in examples:
        with denormals_flushed():
            (images,) = session.run(None, example.feeds())
        expected = _pytorch_images(generator, spec, example)
        difference = np.abs(np.asarray(images).astype(int) - expected)
        largest = max(largest, int(difference.max()))
        different += int((difference > 0).sum())
        values += difference.size
        squares += float(np.square(difference).sum())
        advance(1)
    psnr_db = 10 * math.log10(255**2 * values / squares) if squares else math.inf
    return Verification(largest, different / values, psnr_db)


def _pytorch_images(generator: Generator, spec: ImageSpec, example: Batch) -> npt.NDArray[np.uint8]:
    index = example.source_index
    maps = [
        keypoint_maps(torch.from_numpy(pose), spec.network_size, spec.sigma_px)
        for pose in (example.source_poses[index], example.target_poses)
    ]
    image = image_to_tensor(torch.from_numpy(example.sources[index]))
    generated, _ = generator(image, *maps)
    return np.asarray(tensor_to_image(generated))
