"""Models that no session should open: graphs that take memory without end."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support import dptn, make_folder

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.trial import try_model

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def add_to_image(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Compute something on the way to the image, which it does not change."""
    graph = model.graph
    (last,) = (node for node in graph.node if "generated" in node.output)
    last.output[0] = "image"
    zero = onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero")
    graph.initializer.append(zero)
    graph.node.extend(nodes)
    graph.node.extend(
        [
            helper.make_node("ReduceMax", [nodes[-1].output[0]], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["nothing_u8"], to=onnx.TensorProto.UINT8),
            helper.make_node("Add", ["image", "nothing_u8"], ["generated"]),
        ]
    )


def doubled_again_and_again(model: onnx.ModelProto) -> None:
    names = ["source_pose", *(f"doubled_{i}" for i in range(30))]
    add_to_image(
        model,
        [
            helper.make_node("Concat", [old, old], [new], axis=0)
            for old, new in zip(names[:-1], names[1:], strict=True)
        ],
    )


def enormous(model: onnx.ModelProto) -> None:
    sizes = onnx.numpy_helper.from_array(np.array([10**6, 10**6]), "sizes")
    model.graph.initializer.append(sizes)
    add_to_image(model, [helper.make_node("ConstantOfShape", ["sizes"], ["much"])])


def changed(source: Path, target: Path, change: Change) -> Path:
    model = onnx.load(source)
    change(model)
    target.write_bytes(model.SerializeToString())
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (doubled_again_and_again, "its graph does not run: .*bad_alloc"),
        (enormous, "its graph does not run: .*[Ff]ailed to allocate"),
    ],
)
def test_graphs_that_explode(
    tiny_model: Path, tmp_path: Path, cache: Path, change: Change, message: str
) -> None:
    model = read_model(changed(tiny_model, tmp_path / "m.onnx", change))
    with pytest.raises(ModelError, match=message) as raised:
        try_model(model)
    assert "\n" not in str(raised.value)
    assert not cache.exists()


def test_on_the_command_line(tiny_model: Path, tmp_path: Path) -> None:
    model = changed(tiny_model, tmp_path / "m.onnx", doubled_again_and_again)
    folder = make_folder(tmp_path / "photos", model)
    result = dptn("transfer", "--pairs", folder.pairs, "--model", model, "-o", tmp_path / "r")
    assert result.exit_code == 2
    assert "m.onnx: its graph does not run" in result.stderr
    assert not (tmp_path / "r").exists()


def test_a_model_is_tried_once(tiny_model: Path, cache: Path) -> None:
    model = read_model(tiny_model)
    try_model(model)
    assert [path.name for path in (cache / "models").iterdir()] == [model.sha256]
    tiny_model_gone = model.path.rename(model.path.with_name("moved.onnx"))
    try_model(model)  # would fail if it looked for the file
    tiny_model_gone.rename(model.path)


def test_without_a_cache_each_run_tries(tiny_model: Path, cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    try_model(read_model(tiny_model))


@pytest.mark.openvino
@pytest.mark.parametrize("provider", [Provider.AUTO, Provider.OPENVINO])
def test_it_is_tried_in_openvino_too_where_it_may_run_there(
    tiny_model: Path, cache: Path, provider: Provider
) -> None:
    model = read_model(tiny_model)
    try_model(model, Provider.CPU)
    assert len(list((cache / "models").iterdir())) == 1
    try_model(model, provider)
    names = {path.name for path in (cache / "models").iterdir()}
    assert names == {model.sha256, f"{model.sha256}-openvino"}
