"""The options given to onnxruntime; only a GPU can show their effect."""

from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference import providers
from dptn_cli.inference import session as session_module
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.providers import engine_folder, provider_options
from dptn_cli.inference.session import Session

CPU, CUDA, TENSORRT = (
    f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt")
)  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "order"),
    [
        (Provider.CPU, [CPU]),
        (Provider.CUDA, [CUDA, CPU]),
        (Provider.TENSORRT, [TENSORRT, CUDA, CPU]),
    ],
)
def test_each_provider_is_backed_by_the_next(
    tiny_model: Path, tmp_path: Path, provider: Provider, order: list[str]
) -> None:
    options = provider_options(provider, read_model(tiny_model), device=2, cache=tmp_path)
    assert [name for name, _ in options] == order
    assert all(entry.get("device_id", 2) == 2 for _, entry in options)
    assert not list(tmp_path.iterdir())


def test_cuda_computes_in_float32_and_does_not_time_algorithms(
    tiny_model: Path, tmp_path: Path
) -> None:
    (_, options), _ = provider_options(
        Provider.CUDA, read_model(tiny_model), device=0, cache=tmp_path
    )
    assert options == {
        "device_id": 0,
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": 0,
    }


class TestTensorrt:
    def test_each_model_has_its_own_engine_folder(
        self, tiny_model: Path, other_tiny_model: Path, tmp_path: Path
    ) -> None:
        """Both models have the same graph, so TensorRT would give their files the same names."""
        folders = []
        for path in (tiny_model, other_tiny_model):
            (_, options), *_ = provider_options(
                Provider.TENSORRT, read_model(path), device=0, cache=tmp_path
            )
            assert options["trt_engine_cache_enable"]
            assert options["trt_timing_cache_enable"]
            assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"]
            folders.append(Path(options["trt_engine_cache_path"]))
        assert folders[0] != folders[1]
        assert all(folder.is_relative_to(tmp_path) for folder in folders)

    @pytest.mark.parametrize(("precision", "half"), [("fp32", False), ("fp16", True)])
    def test_half_precision_only_for_fp16_models(
        self, tiny_model: Path, tmp_path: Path, precision: str, half: bool
    ) -> None:
        model = replace(read_model(tiny_model), precision=precision)
        (_, options), *_ = provider_options(Provider.TENSORRT, model, device=0, cache=tmp_path)
        assert options["trt_fp16_enable"] is half

    def test_opening_a_session_creates_the_engine_folder(
        self, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(session_module, "gpu_problem", lambda *_: "")
        model = read_model(tiny_model)
        with pytest.raises(ModelError, match="could not load its tensorrt libraries"):
            Session(model, Provider.TENSORRT)
        assert engine_folder(model, tmp_path / "cache").is_dir()


def test_a_missing_gpu(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "cuda_device_count", lambda: 2)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(ModelError, match="there is no GPU 2; this machine has 2, counted from 0"):
        Session(read_model(tiny_model), Provider.CUDA, device=2)
