"""A trained generator as one self-contained ONNX file, proven against PyTorch.

The graph holds all that stands between a resized image and an image (format 1):

    source (S, H, W, 3) uint8, source_pose (S, 18, 2) float32, target_pose (T, 18, 2) float32,
    source_index (T,) int64  ->  generated (T, H, W, 3) uint8

S sources, T targets, both free. What depends on the source alone is computed S times.
"""

import io
import logging
import math
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from dptn_cli import __version__
from dptn_cli.enums import Precision, Runtime
from dptn_cli.errors import ModelError
from dptn_cli.export.int8 import Calibration, quantize
from dptn_cli.inference.model_file import FORMAT, METADATA_PREFIX
from dptn_cli.io.files import write_atomic
from dptn_cli.network.checkpoint import LoadedGenerator
from dptn_cli.network.export_generator import ExportGenerator, in_half_precision
from dptn_cli.network.fused_attention import with_fused_attention
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps, tensor_to_image
from dptn_cli.types import JOINTS, Batch, ImageSpec

OPSET = 20
TRACED = (2, 3)
PROVEN = ((3, 5), (1, 1), (1, 4))
MAX_LEVELS = 1
MAX_SHARE = 0.01
MIN_PSNR_DB = {"fp16": 45.0, "int8": 35.0}


PUBLISHED_LICENCE = (
    "Weights of the published DPTN checkpoints are under CC BY-NC 4.0: non-commercial use only."
)
OWN_LICENCE = "Weights under the terms of whoever trained them."


@dataclass(frozen=True)
class Verification:
    """How far onnxruntime's images are from PyTorch's.

    Attributes:
        largest_levels: largest difference of a value, in levels of 0..255.
        share: of all values, those that differ.
        psnr_db: of onnxruntime's images against PyTorch's in float32, data range 255.
    """

    largest_levels: int
    share: float
    psnr_db: float = math.inf


class ExportedTransfer(nn.Module):
    """The graph of format 1 around a generator; exists only to be traced."""

    def __init__(self, inference: ExportGenerator) -> None:
        super().__init__()
        self.inference = inference

    def forward(
        self, source: Tensor, source_pose: Tensor, target_pose: Tensor, source_index: Tensor
    ) -> Tensor:
        """See the module's description."""
        image = image_to_tensor(source).to(self.inference.image_weight.dtype)
        return tensor_to_image(self.inference(image, source_pose, target_pose, source_index))


def export(
    loaded: LoadedGenerator,
    spec: ImageSpec,
    out: Path,
    precision: Precision = Precision.FP32,
    *,
    runtime: Runtime = Runtime.ANY,
    calibration: Calibration | None = None,
) -> Verification:
    """Write the ONNX file, if and only if it proves to give PyTorch's images.

    Args:
        loaded: the generator.
        spec: the images it was trained on.
        out: the file; replaced in one step.
        precision: `fp16` has weights and arithmetic in float16, norms and softmax in float32;
            `int8` has the convolutions in integers.
        runtime: `any` has ONNX's own operators only; `cuda` has every attention as one operator
            of onnxruntime's own.
        calibration: images; for `int8`, and needed there.

    Raises:
        ModelError: the proof failed, or the exporter did, or `out` cannot be written; what was
            at `out` is untouched.
    """
    model = _model(loaded, spec, precision=precision, runtime=runtime)
    examples = [_example(spec, *shape) for shape in PROVEN]
    if precision is Precision.INT8:
        if calibration is None:
            raise ValueError("int8 needs images to calibrate on")
        model = quantize(model, calibration.ranges)
        examples = list(calibration.verification)
    content = model.SerializeToString()
    verification = verify(loaded.generator, spec, content, examples)
    _check(verification, precision)
    _write(out, content)
    return verification


def _write(out: Path, content: bytes) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, lambda file: file.write(content))
    except OSError as error:
        raise ModelError(f"{out}: cannot be written: {error.strerror}") from error


def _check(verification: Verification, precision: Precision) -> None:
    if least_db := MIN_PSNR_DB.get(precision):
        if verification.psnr_db < least_db:
            raise ModelError(
                f"the {precision} images are {verification.psnr_db:.1f} dB from PyTorch's in "
                f"float32; at least {least_db:.0f} dB are wanted. Nothing was written"
            )
    elif verification.largest_levels > MAX_LEVELS or verification.share > MAX_SHARE:
        raise ModelError(
            "onnxruntime's images differ from PyTorch's by up to "
            f"{verification.largest_levels} levels in {verification.share:.2%} of the values; "
            f"allowed are {MAX_LEVELS} in {MAX_SHARE:.0%}. "
            "Nothing was written"
        )


def _model(
    loaded: LoadedGenerator, spec: ImageSpec, *, precision: Precision, runtime: Runtime
) -> onnx.ModelProto:
    inference = ExportGenerator(loaded.generator, spec)
    if precision is Precision.FP16:
        inference = in_half_precision(inference)
    if runtime is Runtime.CUDA:
        inference = with_fused_attention(inference)
    model = _to_onnx(ExportedTransfer(inference).eval(), spec)
    if precision is Precision.FP16:
        _softmax_in_float32(model.graph)
    metadata = _metadata(loaded, spec) | {"precision": precision.value, "target": runtime.value}
    for key, value in metadata.items():
        model.metadata_props.add(key=METADATA_PREFIX + key, value=value)
    onnx.checker.check_model(model)
    return model


def _metadata(loaded: LoadedGenerator, spec: ImageSpec) -> dict[str, str]:
    published = loaded.spec is None
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
        "licence": PUBLISHED_LICENCE if published else OWN_LICENCE,
    }


def _to_onnx(transfer: ExportedTransfer, spec: ImageSpec) -> onnx.ModelProto:
    example = _example(spec, *TRACED).feeds()
    sources, targets = torch.export.Dim("S"), torch.export.Dim("T")
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
        raise ModelError("torch.onnx.export gave nothing")
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # Stack traces of this machine's files.
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def _softmax_in_float32(graph: onnx.GraphProto) -> None:
    nodes = []
    for node in graph.node:
        if node.op_type != "Softmax":
            nodes.append(node)
            continue
        given, made = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{given}_fp32", f"{made}_fp32"
        nodes.append(_cast(given, node.input[0], onnx.TensorProto.FLOAT))
        nodes.append(node)
        nodes.append(_cast(node.output[0], made, onnx.TensorProto.FLOAT16))
    del graph.node[:]
    graph.node.extend(nodes)


def _cast(given: str, made: str, to: int) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [given], [made], to=to)


def _example(spec: ImageSpec, sources: int, targets: int) -> Batch:
    """Random images and poses, with missing joints and joints outside, seeded."""
    random = np.random.default_rng(sources * 100 + targets)
    size = np.array(spec.network_size)

    def poses(count: int) -> npt.NDArray[np.float32]:
        pose = random.uniform(-0.1, 1.1, (count, JOINTS, 2)) * size
        pose[random.random((count, JOINTS)) < 0.1] = -1
        in_pixels: npt.NDArray[np.float32] = pose.astype(np.float32)
        return in_pixels

    # Smooth images: noise would exaggerate every rounding difference.
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
    generator: Generator, spec: ImageSpec, content: bytes, examples: Sequence[Batch]
) -> Verification:
    """Compare a serialised model with the generator, at sizes other than the traced ones.

    PyTorch takes the plain path, one source for each target, as training does.
    """
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    largest, different, values, squares = 0, 0, 0, 0.0
    for example in examples:
        (found,) = session.run(None, example.feeds())
        expected = _plain_images(generator, spec, example)
        difference = np.abs(np.asarray(found).astype(int) - expected)
        largest = max(largest, int(difference.max()))
        different += int((difference > 0).sum())
        values += difference.size
        squares += float(np.square(difference).sum())
    psnr_db = 10 * math.log10(255**2 * values / squares) if squares else math.inf
    return Verification(largest, different / values, psnr_db)


def _plain_images(generator: Generator, spec: ImageSpec, example: Batch) -> npt.NDArray[np.uint8]:
    index = example.source_index
    maps = [
        keypoint_maps(torch.from_numpy(pose), spec.network_size, spec.sigma_px)
        for pose in (example.source_poses[index], example.target_poses)
    ]
    image = image_to_tensor(torch.from_numpy(example.sources[index]))
    generated, _ = generator(image, *maps)
    return np.asarray(tensor_to_image(generated))
