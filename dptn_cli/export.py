"""A trained generator as one self-contained ONNX file, proven against PyTorch.

The graph holds all that stands between a resized picture and a picture (format 1):

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
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from dptn_cli import __version__
from dptn_cli.errors import ModelError
from dptn_cli.files import write_atomic
from dptn_cli.network.checkpoint import LoadedGenerator
from dptn_cli.network.fused_attention import with_fused_attention
from dptn_cli.network.generator import Generator
from dptn_cli.network.inference import InferenceGenerator, in_half_precision
from dptn_cli.network.tensors import keypoint_maps, picture_to_tensor, tensor_to_picture
from dptn_cli.quantization import Calibration, quantize
from dptn_cli.records import JOINTS, Batch, Frame
from dptn_cli.session import FORMAT, PREFIX

OPSET = 20
TRACED = (2, 3)
PROVEN = ((3, 5), (1, 1), (1, 4))
MOST_LEVELS = 1
MOST_SHARE = 0.01
LEAST_PSNR_DB = {"fp16": 45.0, "int8": 35.0}

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Target: TypeAlias = Literal["any", "cuda"]

PUBLISHED_LICENCE = (
    "Weights of the published DPTN checkpoints are under CC BY-NC 4.0: non-commercial use only."
)
OWN_LICENCE = "Weights under the terms of whoever trained them."


@dataclass(frozen=True)
class Proof:
    """How far onnxruntime's pictures are from PyTorch's.

    Attributes:
        largest_levels: largest difference of a value, in levels of 0..255.
        share: of all values, those that differ.
        psnr_db: of onnxruntime's pictures against PyTorch's in float32, data range 255.
    """

    largest_levels: int
    share: float
    psnr_db: float = math.inf


class ExportedTransfer(nn.Module):
    """The graph of format 1 around a generator; exists only to be traced."""

    def __init__(self, inference: InferenceGenerator) -> None:
        super().__init__()
        self.inference = inference

    def forward(
        self, source: Tensor, source_pose: Tensor, target_pose: Tensor, source_index: Tensor
    ) -> Tensor:
        """See the module's description."""
        image = picture_to_tensor(source).to(self.inference.of_image.dtype)
        return tensor_to_picture(self.inference(image, source_pose, target_pose, source_index))


def export(
    loaded: LoadedGenerator,
    frame: Frame,
    out: Path,
    precision: Precision = "fp32",
    *,
    target: Target = "any",
    calibration: Calibration | None = None,
) -> Proof:
    """Write the ONNX file, if and only if it proves to give PyTorch's pictures.

    Args:
        loaded: the generator.
        frame: the pictures it was trained on.
        out: the file; replaced in one step.
        precision: `fp16` has weights and arithmetic in float16, norms and softmax in float32;
            `int8` has the convolutions in integers.
        target: `any` has ONNX's own operators only; `cuda` has every attention as one operator
            of onnxruntime's own.
        calibration: pictures; for `int8`, and needed there.

    Raises:
        ModelError: the proof failed, or the exporter did, or `out` cannot be written; what was
            at `out` is untouched.
    """
    model = _model(loaded, frame, precision=precision, target=target)
    examples = [_example(frame, *shape) for shape in PROVEN]
    if precision == "int8":
        if calibration is None:
            raise ValueError("int8 needs pictures to calibrate on")
        model = quantize(model, calibration.ranges)
        examples = list(calibration.proof)
    content = model.SerializeToString()
    proof = prove(loaded.generator, frame, content, examples)
    _check(proof, precision)
    _write(out, content)
    return proof


def _write(out: Path, content: bytes) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, lambda file: file.write(content))
    except OSError as error:
        raise ModelError(f"{out}: cannot be written: {error.strerror}") from error


def _check(proof: Proof, precision: Precision) -> None:
    if least_db := LEAST_PSNR_DB.get(precision):
        if proof.psnr_db < least_db:
            raise ModelError(
                f"the {precision} pictures are {proof.psnr_db:.1f} dB from PyTorch's in float32; "
                f"at least {least_db:.0f} dB are wanted. Nothing was written"
            )
    elif proof.largest_levels > MOST_LEVELS or proof.share > MOST_SHARE:
        raise ModelError(
            f"onnxruntime's pictures differ from PyTorch's by up to {proof.largest_levels} levels "
            f"in {proof.share:.2%} of the values; allowed are {MOST_LEVELS} in {MOST_SHARE:.0%}. "
            "Nothing was written"
        )


def _model(
    loaded: LoadedGenerator, frame: Frame, *, precision: Precision, target: Target
) -> onnx.ModelProto:
    inference = InferenceGenerator(loaded.generator, frame)
    if precision == "fp16":
        inference = in_half_precision(inference)
    if target == "cuda":
        inference = with_fused_attention(inference)
    model = _to_onnx(ExportedTransfer(inference).eval(), frame)
    if precision == "fp16":
        _softmax_in_float32(model.graph)
    metadata = _metadata(loaded, frame) | {"precision": precision, "target": target}
    for key, value in metadata.items():
        model.metadata_props.add(key=PREFIX + key, value=value)
    onnx.checker.check_model(model)
    return model


def _metadata(loaded: LoadedGenerator, frame: Frame) -> dict[str, str]:
    published = loaded.frame is None
    return {
        "format": FORMAT,
        "dataset": frame.dataset,
        "image_size": "{}x{}".format(*frame.image_size),
        "network_size": "{}x{}".format(*frame.network_size),
        "sigma": str(frame.sigma_px),
        "joints": str(JOINTS),
        "parameters": str(sum(p.numel() for p in loaded.generator.parameters())),
        "checkpoint_sha256": loaded.sha256,
        "created_by": f"dptn {__version__}",
        "licence": PUBLISHED_LICENCE if published else OWN_LICENCE,
    }


def _to_onnx(transfer: ExportedTransfer, frame: Frame) -> onnx.ModelProto:
    example = _example(frame, *TRACED).feeds()
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


def _example(frame: Frame, sources: int, targets: int) -> Batch:
    """Random pictures and poses, with missing joints and joints outside, seeded."""
    random = np.random.default_rng(sources * 100 + targets)
    size = np.array(frame.network_size)

    def poses(count: int) -> npt.NDArray[np.float32]:
        pose = random.uniform(-0.1, 1.1, (count, JOINTS, 2)) * size
        pose[random.random((count, JOINTS)) < 0.1] = -1
        in_pixels: npt.NDArray[np.float32] = pose.astype(np.float32)
        return in_pixels

    # Smooth pictures: noise would exaggerate every rounding difference.
    coarse = random.integers(0, 256, (sources, 8, 8, 3), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((1, -(-size[0] // 8), -(-size[1] // 8), 1), np.uint8))
    return Batch(
        np.ascontiguousarray(picture[:, : size[0], : size[1]]),
        poses(sources),
        poses(targets),
        random.integers(0, sources, targets),
    )


@torch.no_grad()
def prove(generator: Generator, frame: Frame, content: bytes, examples: Sequence[Batch]) -> Proof:
    """Compare a serialised model with the generator, at sizes other than the traced ones.

    PyTorch takes the plain path, one source for each target, as training does.
    """
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    largest, different, values, squares = 0, 0, 0, 0.0
    for example in examples:
        (found,) = session.run(None, example.feeds())
        expected = _plain_pictures(generator, frame, example)
        difference = np.abs(np.asarray(found).astype(int) - expected)
        largest = max(largest, int(difference.max()))
        different += int((difference > 0).sum())
        values += difference.size
        squares += float(np.square(difference).sum())
    psnr_db = 10 * math.log10(255**2 * values / squares) if squares else math.inf
    return Proof(largest, different / values, psnr_db)


def _plain_pictures(generator: Generator, frame: Frame, example: Batch) -> npt.NDArray[np.uint8]:
    index = example.source_index
    maps = [
        keypoint_maps(torch.from_numpy(pose), frame.network_size, frame.sigma_px)
        for pose in (example.source_poses[index], example.target_poses)
    ]
    image = picture_to_tensor(torch.from_numpy(example.sources[index]))
    generated, _ = generator(image, *maps)
    return np.asarray(tensor_to_picture(generated))
