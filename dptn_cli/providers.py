"""What onnxruntime is told of its execution providers."""

from pathlib import Path
from typing import Any, TypeAlias

from dptn_cli.records import Model

EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
Named: TypeAlias = tuple[str, dict[str, Any]]


def provider_options(provider: str, model: Model, *, device: int, cache: Path) -> list[Named]:
    """Execution providers for a session, the one that is wanted first, and their options.

    What the first cannot compute falls to the next.

    Args:
        provider: `cpu`, `cuda` or `tensorrt`.
        model: what will be run.
        device: which GPU.
        cache: the user's cache folder; TensorRT's engines take minutes to build, and are kept
            there in a folder for each model.
    """
    wanted: list[Named] = [(EXECUTION_PROVIDERS["cpu"], {})]
    if provider != "cpu":
        wanted.insert(0, (EXECUTION_PROVIDERS["cuda"], _cuda(device)))
    if provider == "tensorrt":
        wanted.insert(0, (EXECUTION_PROVIDERS["tensorrt"], _tensorrt(model, device, cache)))
    return wanted


def _cuda(device: int) -> dict[str, Any]:
    # The default, EXHAUSTIVE, times every algorithm for every new shape of a batch.
    return {"device_id": device, "cudnn_conv_algo_search": "HEURISTIC"}


def _tensorrt(model: Model, device: int, cache: Path) -> dict[str, Any]:
    # The names of TensorRT's own files tell graph, GPU architecture and version apart, not weights.
    folder = str(engine_folder(model, cache))
    return {
        "device_id": device,
        "trt_fp16_enable": model.precision == "fp16",
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": folder,
    }


def engine_folder(model: Model, cache: Path) -> Path:
    """Where TensorRT's engines and timings of a model are kept."""
    return cache / "tensorrt" / model.sha256
