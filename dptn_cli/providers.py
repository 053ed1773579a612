"""What onnxruntime is told of its execution providers."""

from typing import Any, TypeAlias

EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
Named: TypeAlias = tuple[str, dict[str, Any]]


def provider_options(provider: str, *, device: int) -> list[Named]:
    """Execution providers for a session, the one that is wanted first, and their options.

    What the first cannot compute falls to the next.

    Args:
        provider: `cpu`, `cuda` or `tensorrt`.
        device: which GPU.
    """
    wanted: list[Named] = [(EXECUTION_PROVIDERS["cpu"], {})]
    if provider != "cpu":
        wanted.insert(0, (EXECUTION_PROVIDERS["cuda"], _cuda(device)))
    if provider == "tensorrt":
        wanted.insert(0, (EXECUTION_PROVIDERS["tensorrt"], {"device_id": device}))
    return wanted


def _cuda(device: int) -> dict[str, Any]:
    # The default, EXHAUSTIVE, times every algorithm for every new shape of a batch.
    return {"device_id": device, "cudnn_conv_algo_search": "HEURISTIC"}
