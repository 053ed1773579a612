"""Strangers' graphs are checked against their metadata and their own bytes before they run."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from dptn_cli.errors import ModelError
from dptn_cli.inference.model_file import read_model

Change = Callable[[onnx.ModelProto], object]


def changed(source: Path, target: Path, change: Change) -> Path:
    model = onnx.load(source)
    change(model)
    target.write_bytes(model.SerializeToString())
    return target


def size(model: onnx.ModelProto, port: str, axis: int, value: int) -> None:
    for entry in (*model.graph.input, *model.graph.output):
        if entry.name == port:
            entry.type.tensor_type.shape.dim[axis].dim_value = value


def metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    for entry in model.metadata_props:
        if entry.key == f"dptn.{key}":
            entry.value = value


def element_type(model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def no_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "H"


def external(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")


def enormous(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    del weight.dims[:]
    weight.dims.extend([1 << 20, 1 << 20])


def negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -1


def enormous_constant(model: onnx.ModelProto) -> None:
    tensor = onnx.TensorProto(dims=[1 << 40], data_type=onnx.TensorProto.FLOAT)
    model.graph.node.add(op_type="Constant", output=["c"]).attribute.add(
        name="value", t=tensor, type=onnx.AttributeProto.TENSOR
    )


def loop(model: onnx.ModelProto) -> None:
    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.add(op_type="Loop", output=["l"]).attribute.add(
        name="body", g=body, type=onnx.AttributeProto.GRAPH
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: size(m, "source", 1, 128), r"source is uint8 \(any, 128, 48, 3\), but"),
        (lambda m: size(m, "generated", 3, 4), r"generated is uint8 \(any, 64, 48, 4\)"),
        (lambda m: size(m, "source", 0, 1), r"source is uint8 \(1, 64, 48, 3\)"),
        (
            lambda m: metadata(m, "network_size", "4096x4096"),
            r"promises uint8 \(any, 4096",
        ),
        (element_type, "source_pose is float16 .* promises float32"),
        (no_size, "leaves the size of its images open"),
        (external, "its weights are in other files"),
        (enormous, "a weight is larger than the bytes that hold it"),
        (negative, "a weight is larger than the bytes that hold it"),
        (enormous_constant, "a weight is larger than the bytes that hold it"),
        (loop, "loops or branches"),
        (lambda m: m.functions.add(name="f"), "functions of its own"),
        (lambda m: metadata(m, "format", "2\n" * 500), "format '2"),
        (lambda m: metadata(m, "dataset", "a\nb"), "no printable name"),
    ],
)
def test_refused(tiny_model: Path, tmp_path: Path, change: Change, message: str) -> None:
    path = changed(tiny_model, tmp_path / "m.onnx", change)
    with pytest.raises(ModelError, match=message) as raised:
        read_model(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


def test_mutated_files(tiny_model: Path, tmp_path: Path) -> None:
    """Seeded changes of the bytes; each file is read or refused, and nothing else happens."""
    draw, content, path = random.Random(14), tiny_model.read_bytes(), tmp_path / "m.onnx"
    ends = {True: 0, False: 0}
    for _ in range(40):
        mutant = bytearray(content)
        for _ in range(draw.choice([1, 3])):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        path.write_bytes(mutant)
        try:
            read_model(path)
            ends[True] += 1
        except ModelError as error:
            assert "\n" not in str(error)
            ends[False] += 1
    assert ends[True]


def weights_as(kind: type[np.generic]) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for weight in model.graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT:
                array = onnx.numpy_helper.to_array(weight).astype(kind)
                weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))

    return change


def operator(name: str, domain: str = "") -> Change:
    return lambda model: model.graph.node.add(op_type=name, domain=domain, output=["o"])


@pytest.mark.parametrize(
    ("change", "precision"),
    [
        (lambda _: None, "fp32"),
        (lambda model: metadata(model, "precision", "int8"), "fp32"),
        (weights_as(np.float16), "fp16"),
        (operator("DequantizeLinear"), "int8"),
        (operator("DynamicQuantizeLinear"), "int8"),
        (operator("QLinearConv"), "int8"),
        (operator("MatMulInteger"), "int8"),
        (operator("MatMulNBits", "com.microsoft"), "int4"),
    ],
)
def test_precision_is_what_the_graph_computes_in(
    tiny_model: Path, tmp_path: Path, change: Change, precision: str
) -> None:
    """A file that was converted after its export has metadata that is no longer true."""
    assert read_model(changed(tiny_model, tmp_path / "m.onnx", change)).precision == precision
