"""What onnxruntime is told; that it obeys can only be seen on a GPU."""

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
def test_what_one_cannot_do_falls_to_the_next(
    tiny_model: Path, tmp_path: Path, provider: Provider, order: list[str]
) -> None:
    options = provider_options(provider, read_model(tiny_model), device=2, cache=tmp_path)
    assert [name for name, _ in options] == order
    assert all(given.get("device_id", 2) == 2 for _, given in options)
    assert not list(tmp_path.iterdir())


def test_cuda_times_no_algorithms(tiny_model: Path, tmp_path: Path) -> None:
    (_, given), _ = provider_options(
        Provider.CUDA, read_model(tiny_model), device=0, cache=tmp_path
    )
    assert given == {"device_id": 0, "cudnn_conv_algo_search": "HEURISTIC"}


class TestTensorrt:
    def test_engines_and_timings_are_kept_for_each_model(
        self, tiny_model: Path, other_tiny_model: Path, tmp_path: Path
    ) -> None:
        """Both models have the same graph, so TensorRT's own names would be the same."""
        folders = []
        for path in (tiny_model, other_tiny_model):
            options = provider_options(
                Provider.TENSORRT, read_model(path), device=0, cache=tmp_path
            )
            given = options[0][1]
            assert given["trt_engine_cache_enable"]
            assert given["trt_timing_cache_enable"]
            assert given["trt_engine_cache_path"] == given["trt_timing_cache_path"]
            folders.append(Path(given["trt_engine_cache_path"]))
        assert folders[0] != folders[1]
        assert all(folder.is_relative_to(tmp_path) for folder in folders)

    @pytest.mark.parametrize(("precision", "half"), [("fp32", False), ("fp16", True)])
    def test_half_precision_is_for_models_of_it(
        self, tiny_model: Path, tmp_path: Path, precision: str, half: bool
    ) -> None:
        model = replace(read_model(tiny_model), precision=precision)
        (_, given), *_ = provider_options(Provider.TENSORRT, model, device=0, cache=tmp_path)
        assert given["trt_fp16_enable"] is half

    def test_the_folder_is_made_where_a_session_is_opened(
        self, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(session_module, "gpu_problem", lambda *_: "")
        model = read_model(tiny_model)
        with pytest.raises(ModelError, match="could not load its tensorrt libraries"):
            Session(model, Provider.TENSORRT)
        assert engine_folder(model, tmp_path / "cache").is_dir()


def test_a_gpu_that_is_not_there(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "cuda_device_count", lambda: 2)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(ModelError, match="there is no GPU 2; this machine has 2, counted from 0"):
        Session(read_model(tiny_model), Provider.CUDA, device=2)
