"""A model in OpenVINO: the same images, whatever the batch, and nothing done behind the user."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from support import FIGURES_MODEL, ROOT

import dptn_cli.inference.openvino_model as openvino_model
from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.openvino_model import has_bf16, openvino_version
from dptn_cli.inference.session import ProviderUnavailable, Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.processor import processor_abilities
from dptn_cli.types import Batch


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


def one(batch: Batch, row: int) -> Batch:
    """The batch of one of the targets alone."""
    source = batch.source_index[row]
    return Batch(
        batch.sources[source : source + 1],
        batch.source_poses[source : source + 1],
        batch.target_poses[row : row + 1],
        np.zeros(1, np.int64),
    )


@pytest.mark.parametrize("shape", [(4, 4), (1, 8), (3, 5)])
def test_float32_images_are_those_of_onnxruntime(shape: tuple[int, int]) -> None:
    model = read_model(FIGURES_MODEL)
    batch = example_batch(model.spec, *shape)
    expected = Session(model, Provider.CPU).run(batch).astype(int)
    difference = np.abs(Session(model, Provider.OPENVINO).run(batch) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_an_image_does_not_depend_on_its_batch() -> None:
    model = read_model(FIGURES_MODEL)
    session = Session(model, Provider.OPENVINO)
    batch = example_batch(model.spec, 3, 7)
    together = session.run(batch).astype(int)
    for row in range(7):
        assert np.abs(session.run(one(batch, row))[0] - together[row]).max() <= 1


def test_several_threads_get_their_own_images() -> None:
    model = read_model(FIGURES_MODEL)
    session = Session(model, Provider.OPENVINO, streams=2)
    batch = example_batch(model.spec, 4, 8)
    rows = [one(batch, row) for row in range(8)]
    alone = [session.run(row) for row in rows]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(session.run, rows * 3))
    for index, images in enumerate(at_once):
        np.testing.assert_array_equal(images, alone[index % 8])


def test_bf16_where_the_processor_has_it() -> None:
    model = read_model(FIGURES_MODEL)
    assert has_bf16() == ("bf16" in processor_abilities())
    if not has_bf16():
        with pytest.raises(ProviderUnavailable, match="OpenVINO does not compute in bf16"):
            Session(model, Provider.OPENVINO, arithmetic=Arithmetic.BF16)
        return
    batch = example_batch(model.spec, 4, 8)
    expected = Session(model, Provider.OPENVINO).run(batch).astype(float)
    images = Session(model, Provider.OPENVINO, arithmetic=Arithmetic.BF16).run(batch)
    squared_error = np.square(images - expected).mean()
    assert 0 < squared_error < 255**2 / 10**4.5  # 45 dB


def test_a_compiled_model_is_kept_and_a_damaged_one_is_not_used(
    tiny_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = read_model(tiny_model)
    batch = example_batch(model.spec, 2, 3)
    expected = Session(model, Provider.OPENVINO).run(batch)
    (blob,) = cache.iterdir()
    written = blob.read_bytes()
    blob.write_bytes(written[: len(written) // 2])
    np.testing.assert_array_equal(Session(model, Provider.OPENVINO).run(batch), expected)
    assert blob.stat().st_size > 0.9 * len(written)

    monkeypatch.setattr(
        openvino_model.OpenVinoModel, "_copy_shared_constants", lambda *_: pytest.fail("compiled")
    )
    np.testing.assert_array_equal(Session(model, Provider.OPENVINO).run(batch), expected)
    with pytest.raises(pytest.fail.Exception):  # another number of streams is another model
        Session(model, Provider.OPENVINO, streams=3)


def test_an_unwritable_cache_is_ignored(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "file"))
    model = read_model(tiny_model)
    assert len(Session(model, Provider.OPENVINO).run(example_batch(model.spec, 1, 2))) == 2


def test_the_content_may_come_without_the_file(tiny_model: Path) -> None:
    model = read_model(tiny_model)
    content = tiny_model.read_bytes()
    batch = example_batch(model.spec, 1, 2)
    expected = Session(model, Provider.OPENVINO).run(batch)
    elsewhere = type(model)(Path("/nowhere"), *list(vars(model).values())[1:])
    images = Session(elsewhere, Provider.OPENVINO, model_bytes=content).run(batch)
    np.testing.assert_array_equal(images, expected)


def test_devices_that_are_not_there_are_named(tiny_model: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="no device GPU.7 here; it lists"):
        Session(read_model(tiny_model), Provider.OPENVINO, device="GPU.7")


def test_what_openvino_cannot_load(tiny_model: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_model)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(
        ProviderUnavailable, match="No conversion rule found.*NoSuchOperator"
    ) as error:
        Session(read_model(tmp_path / "odd.onnx"), Provider.OPENVINO)
    assert "OpenVINO cannot load it: No conversion" in str(error.value)


def test_without_the_package(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"not installed: pip install 'dptn-cli\[openvino\]'"):
        Session(read_model(tiny_model), Provider.OPENVINO)


def run_python(code: str, home: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_threads_that_come_first_together_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """OpenVINO's binding sets up NumPy at its first array, and deadlocks if two come at once."""
    code = f"""
import threading
from pathlib import Path
from dptn_cli.enums import Provider
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch
model = read_model(Path({str(FIGURES_MODEL)!r}))
session, batch = Session(model, Provider.OPENVINO, streams=8), example_batch(model.spec, 1, 1)
together = threading.Barrier(8)
def run():
    together.wait()
    session.run(batch)
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
"""
    for _ in range(3):
        assert run_python(code, tmp_path).strip() == "done"


def test_signals_after_looking_for_devices(tmp_path: Path) -> None:
    """A `Core` that looks for GPUs takes the stack for signals with it when it is destroyed."""
    code = f"""
import gc, os, signal, threading
from pathlib import Path
from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.signals import StopRequest
model = read_model(Path({str(FIGURES_MODEL)!r}))
for device in ("GPU.7", 0):
    try:
        Session(model, Provider.OPENVINO, device=device)
    except ModelError as error:
        print("GPU.7" in str(error))
thread = threading.Thread(target=gc.collect)
thread.start()
thread.join()
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    print(stop.requested)
"""
    assert run_python(code, tmp_path).split() == ["True", "True"]


def test_the_telemetry_client_is_kept_out(tmp_path: Path) -> None:
    """It would report the import over the network, and put files into the home folder."""
    code = """
import sys
from dptn_cli.inference.openvino_model import openvino_version
openvino_version()
assert "openvino" in sys.modules
print([name for name in sys.modules if name.split(".")[0] == "openvino_telemetry"])
"""
    assert run_python(code, tmp_path).strip() == "[]"
    assert not (tmp_path / "intel").exists()


def test_on_a_processor_without_bf16(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_model, "has_bf16", lambda device: False)
    with pytest.raises(ProviderUnavailable, match="does not compute in bf16 on this CPU"):
        Session(read_model(tiny_model), Provider.OPENVINO, arithmetic=Arithmetic.BF16)


@pytest.mark.openvino
def test_auto_takes_openvino_where_there_is_no_gpu(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
    session = Session(read_model(tiny_model), Provider.AUTO)
    assert session.provider is Provider.OPENVINO
    assert session.note().startswith("Running on the CPU with OpenVINO: ")
    assert ("--arithmetic auto" in session.note()) == has_bf16()
    assert "--arithmetic" not in session.note(Arithmetic.BF16)


@pytest.mark.openvino
def test_auto_takes_onnxruntime_if_openvino_fails(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
    monkeypatch.setitem(sys.modules, "openvino", None)
    session = Session(read_model(tiny_model), Provider.AUTO)
    assert session.provider is Provider.CPU
    assert "the package openvino is not installed" in session.note()


def test_the_version() -> None:
    assert json.dumps(openvino_version()).count(".") == 2
