"""Reading an exported model's metadata, and running it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import TINY_SPEC

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference import session as session_module
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.types import Batch


def example_batch(sources: int = 2, targets: int = 3, seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    size = TINY_SPEC.network_size
    return Batch(
        sources=random.integers(0, 256, (sources, *size, 3), dtype=np.uint8),
        source_poses=(random.random((sources, 18, 2)) * size).astype(np.float32),
        target_poses=(random.random((targets, 18, 2)) * size).astype(np.float32),
        source_index=random.integers(0, sources, targets),
    )


def test_read_model(tiny_model: Path) -> None:
    model = read_model(tiny_model)
    assert model.spec == TINY_SPEC
    assert model.precision == "fp32"
    assert len(model.sha256) == 64
    assert model.metadata["format"] == "1"
    assert model.metadata["joints"] == "18"
    assert model.metadata["image_size"] == "64x40"
    assert model.metadata["checkpoint_sha256"] == "0" * 64


def test_metadata_equals_what_onnx_reads(tiny_model: Path) -> None:
    properties = {entry.key: entry.value for entry in onnx.load(tiny_model).metadata_props}
    assert properties == {
        f"dptn.{key}": value for key, value in read_model(tiny_model).metadata.items()
    }


def with_metadata(path: Path, tmp_path: Path, key: str, value: str | None) -> Path:
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props} | {key: value}
    del model.metadata_props[:]
    for name, text in properties.items():
        if text is not None:
            model.metadata_props.add(key=name, value=text)
    onnx.save(model, tmp_path / "edited.onnx")
    return tmp_path / "edited.onnx"


def test_older_files_without_a_target_run_anywhere(tiny_model: Path, tmp_path: Path) -> None:
    assert read_model(tiny_model).metadata["target"] == "any"
    older = read_model(with_metadata(tiny_model, tmp_path, "dptn.target", None))
    assert "target" not in older.metadata
    assert older.runtime == "any"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dptn.format", None, "not an export of `dptn export`"),
        ("dptn.format", "2", "format 2, but this dptn reads 1"),
        ("dptn.sigma", None, "metadata is incomplete: 'sigma'"),
        ("dptn.image_size", "large", "metadata is incomplete"),
        ("dptn.network_size", "999999x8", "metadata is incomplete"),
        ("dptn.joints", "17", "metadata is incomplete: 17 joints"),
    ],
)
def test_unusable_metadata(
    tiny_model: Path, tmp_path: Path, key: str, value: str | None, message: str
) -> None:
    path = with_metadata(tiny_model, tmp_path, key, value)
    with pytest.raises(ModelError, match=message) as raised:
        read_model(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file, not an ONNX file"),
        (b"PK\x03\x04 something else", "not an ONNX file, or a truncated one"),
        (b"\x00" * 100, "not an ONNX file, or a truncated one"),
        (b"<!DOCTYPE html><title>Virus scan warning</title>", "a web page .* not an ONNX file"),
        (b'{"message": "Not Found"}', "JSON text, not an ONNX file"),
    ],
)
def test_files_that_are_not_onnx(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_model(tmp_path / "a.onnx")


def test_truncated_and_missing_files(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(tiny_model.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not an ONNX file, or a truncated one"):
        read_model(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="No such file"):
        read_model(tmp_path / "b.onnx")


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError):
        read_model(path)


def test_a_graph_with_other_inputs(tiny_model: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_model)
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        node.input[:] = ["image" if name == "source" else name for name in node.input]
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="not those of format 1"):
        read_model(tmp_path / "a.onnx")


def test_a_damaged_graph(tiny_model: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_model)
    model.graph.node[5].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        Session(read_model(tmp_path / "a.onnx"), Provider.CPU)


def test_run(tiny_model: Path) -> None:
    generated = Session(read_model(tiny_model), Provider.CPU).run(example_batch())
    assert generated.shape == (3, *TINY_SPEC.network_size, 3)
    assert generated.dtype == np.uint8
    assert generated.std() > 1


def test_an_invalid_batch_is_an_error_and_the_session_stays_usable(tiny_model: Path) -> None:
    batch = example_batch(sources=2)
    wrong = Batch(batch.sources, batch.source_poses, batch.target_poses, batch.source_index + 9)
    session = Session(read_model(tiny_model), Provider.CPU)
    with pytest.raises(ModelError, match="inference failed"):
        session.run(wrong)
    assert session.run(batch).shape[0] == 3


def test_an_image_does_not_depend_on_its_batch(tiny_model: Path) -> None:
    session = Session(read_model(tiny_model), Provider.CPU)
    batch = example_batch(sources=3, targets=7)
    together = session.run(batch).astype(int)
    for row in range(7):
        source = batch.source_index[row]
        alone = Batch(
            batch.sources[[source]],
            batch.source_poses[[source]],
            batch.target_poses[[row]],
            np.zeros(1, np.int64),
        )
        assert np.abs(session.run(alone)[0] - together[row]).max() <= 1


def test_denormals_are_flushed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = []
    real = onnxruntime.InferenceSession

    def recording(path: str, options: onnxruntime.SessionOptions, **rest: object) -> object:
        entries.append(options.get_session_config_entry("session.set_denormal_as_zero"))
        return real(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", recording)
    Session(read_model(tiny_model), Provider.CPU)
    assert entries == ["1"]


@pytest.mark.parametrize(
    ("streams", "threads", "expected"),
    [
        (0, 6, (6, 1)),
        (1, 6, (1, 6)),
        (2, 5, (2, 2)),
        (1, 1, (1, 1)),
        (4, 1, (4, 1)),
        (0, 0, (3, 1)),
    ],
)
def test_cores_are_divided_among_streams(
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    streams: int,
    threads: int,
    expected: tuple[int, int],
) -> None:
    """Expected streams and threads in each, if the process may use three cores."""
    thread_counts = []
    real = onnxruntime.InferenceSession

    def recording(path: str, options: onnxruntime.SessionOptions, **rest: object) -> object:
        thread_counts.append(options.intra_op_num_threads)
        return real(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", recording)
    monkeypatch.setattr(session_module, "available_cores", lambda: 3)
    session = Session(read_model(tiny_model), Provider.CPU, streams, threads=threads)
    assert (session.streams, *thread_counts) == expected


class TestWithoutAGpu:
    """Behaviour on a machine without a GPU; if it has one, the driver is hidden."""

    @pytest.fixture(autouse=True)
    def hide_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)

    @pytest.mark.parametrize("provider", [Provider.CUDA, Provider.TENSORRT])
    def test_a_named_provider_that_is_missing_is_an_error(
        self, tiny_model: Path, provider: Provider
    ) -> None:
        with pytest.raises(ModelError, match=f"--provider {provider} is not available"):
            Session(read_model(tiny_model), provider)

    def test_auto_falls_back_to_the_cpu_with_a_reason(self, tiny_model: Path) -> None:
        session = Session(read_model(tiny_model), Provider.AUTO)
        assert session.provider == "cpu"
        assert session.fallback


def test_a_silent_fallback_to_the_cpu_is_detected(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a driver but without CUDA's libraries, onnxruntime uses the CPU without an error."""
    monkeypatch.setattr(session_module, "gpu_problem", lambda *_: "")
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers: real(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(ModelError, match="could not load its cuda libraries: pip install"):
        Session(read_model(tiny_model), Provider.CUDA)
    assert "could not load" in Session(read_model(tiny_model), Provider.AUTO).fallback
