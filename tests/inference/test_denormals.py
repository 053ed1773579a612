"""Denormals are flushed in whichever thread computes, and only while it does."""

import platform
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from dptn_cli.enums import Provider
from dptn_cli.inference.denormals import denormals_flushed
from dptn_cli.inference.graph_session import GraphSession
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="elsewhere, onnxruntime's own setting is all there is",
)


def is_flushing() -> bool:
    """Return whether this thread takes a denormal as zero."""
    return bool(np.float32(1e-40) * np.float32(1) == 0)


@pytest.fixture
def early_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread that was there before any session of the test."""
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(is_flushing).result()
        yield pool


@pytest.fixture
def product(tmp_path: Path) -> GraphSession:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["a", "b"], ["product"])],
        "product",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("a", "b")],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [1])],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "p.onnx")
    return GraphSession(tmp_path / "p.onnx", Provider.CPU)


def test_a_thread_that_was_there_before(
    early_thread: ThreadPoolExecutor, product: GraphSession
) -> None:
    feeds = {"a": np.array([1e-30], np.float32), "b": np.array([1e-10], np.float32)}
    assert early_thread.submit(product.run, feeds).result() == [0]
    assert not early_thread.submit(is_flushing).result()


def test_models_run_while_denormals_are_flushed(
    early_thread: ThreadPoolExecutor, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[bool] = []
    run: Callable[..., object] = onnxruntime.InferenceSession.run

    def recording(self: object, *args: object) -> object:
        ran.append(is_flushing())
        return run(self, *args)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", recording)
    model = read_model(tiny_model)
    session = Session(model, Provider.CPU)
    assert not is_flushing()
    early_thread.submit(session.run, example_batch(model.spec, 1, 1)).result()
    assert ran == [True]
    assert not early_thread.submit(is_flushing).result()


def test_openvino_leaves_the_thread_as_it_was(tiny_model: Path) -> None:
    model = read_model(tiny_model)
    session = Session(model, Provider.OPENVINO)
    session.run(example_batch(model.spec, 1, 1))
    assert not is_flushing()


def test_what_the_thread_did_before_is_restored() -> None:
    with denormals_flushed():
        with denormals_flushed():
            assert is_flushing()
        assert is_flushing()
    with pytest.raises(KeyError), denormals_flushed():
        raise KeyError
    assert not is_flushing()
