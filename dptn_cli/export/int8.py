"""An exported graph with its convolutions in 8-bit integers, calibrated on real images.

Norms, softmax, matrix products and the output convolutions stay in float32: matrix products gain
nothing from 8 bits here, and what the output convolutions lose is seen. Weights are symmetric,
per output channel and of 7 bits: processors without VNNI add pairs of products in 16 bits, which
those of 8-bit weights overflow.
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

IMAGE_CHANNELS = (3, 3 * 4)  # of an output convolution: RGB, in one piece or in four phases


@dataclass(frozen=True)
class Calibration:
    """Batches of two kinds, which share no source image.

    Attributes:
        ranges: to see what ranges the activations have.
        proof: to compare images on.
    """

    ranges: Sequence[Batch]
    verification: Sequence[Batch]


def quantize(model: onnx.ModelProto, batches: Sequence[Batch]) -> onnx.ModelProto:
    """Quantise a graph's convolutions by the ranges that their inputs have on some batches.

    Args:
        model: of format 1, float32; unchanged.
        batches: of images as the model will see them.

    Returns:
        The graph in QDQ form, which onnxruntime fuses into integer convolutions.
    """
    with tempfile.TemporaryDirectory(prefix="dptn-int8-") as folder, _quiet():
        out = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            out,
            _Batches(batches),
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_output_convolutions(model.graph),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,  # unsigned by signed is the fast product on x86
            weight_type=QuantType.QInt8,
        )
        return onnx.load(out)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Sequence[Batch]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[np.generic]] | None:
        """What onnxruntime's calibrators ask for."""
        batch = next(self._left, None)
        return None if batch is None else batch.feeds()


def _output_convolutions(graph: onnx.GraphProto) -> list[str]:
    channels = {weight.name: weight.dims[0] for weight in graph.initializer if weight.dims}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and channels.get(node.input[1]) in IMAGE_CHANNELS
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without advice, on the root logger, to preprocess a graph that has nothing to be fused."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
