"""Quantisation of an exported graph's convolutions to 8-bit integers, calibrated on real images.

Norms, softmax, matrix products and the output convolutions stay in float32: matrix products do
not get faster with 8 bits here, and rounding in the output convolutions is visible. Weights are
symmetric, per output channel, and have 7 bits: processors without VNNI add pairs of products in
16 bits, which overflow with 8-bit weights.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from dptn_cli.types import Batch

# Output channels of an output convolution: RGB, or RGB in four phases (see `LastBlocks`).
OUTPUT_CHANNELS = (3, 3 * 4)


@dataclass(frozen=True)
class Calibration:
    """Batches for calibrating and for verifying an int8 model; the two share no source image.

    Attributes:
        ranges: batches from which the ranges of the activations are measured.
        verification: batches on which the images of the two models are compared.
    """

    ranges: Sequence[Batch]
    verification: Sequence[Batch]


def quantize(model: onnx.ModelProto, batches: Sequence[Batch]) -> onnx.ModelProto:
    """Quantise a graph's convolutions by the ranges of their inputs on some batches.

    Args:
        model: a float32 graph of format 1; it is not changed.
        batches: images like those that the model will be used on.

    Returns:
        The graph in QDQ form, which onnxruntime fuses into integer convolutions.
    """
    with tempfile.TemporaryDirectory(prefix="dptn-int8-") as folder, _logging_disabled():
        out = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            out,
            _BatchReader(batches),
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_output_convolutions(model.graph),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,  # x86 multiplies unsigned by signed the fastest.
            weight_type=QuantType.QInt8,
        )
        return onnx.load(out)


class _BatchReader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[np.generic]] | None:
        """Return the next batch by input name, or None after the last one."""
        batch = next(self._batches, None)
        return None if batch is None else batch.feeds()


def _output_convolutions(graph: onnx.GraphProto) -> list[str]:
    channels = {weight.name: weight.dims[0] for weight in graph.initializer if weight.dims}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and channels.get(node.input[1]) in OUTPUT_CHANNELS
    ]


@contextmanager
def _logging_disabled() -> Iterator[None]:
    """Disable warnings: onnxruntime advises preprocessing, but this graph has nothing to fuse."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
