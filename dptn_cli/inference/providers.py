"""onnxruntime's execution providers: their options, sessions, and whether they work here."""

import ctypes
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort

from dptn_cli.enums import Provider
from dptn_cli.inference.denormals import denormals_flushed
from dptn_cli.types import Model

EXECUTION_PROVIDERS = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
INSTALL_GPU_LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
FATAL_ONLY = 4  # onnxruntime's log level that keeps its own warnings off stderr
# The ONNX file of y = Identity(x), x a single float32, opset 13: for trying a provider without a
# model.
IDENTITY_GRAPH = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a02"
    "0801620f0a0179120a0a08080112040a02080142040a00100d"
)
ProviderWithOptions: TypeAlias = tuple[str, dict[str, Any]]


def provider_options(
    provider: Provider, model: Model, *, device: int, cache: Path
) -> list[ProviderWithOptions]:
    """List the execution providers for a session, the preferred one first.

    onnxruntime hands what a provider cannot compute to the next one in the list.

    Args:
        provider: the preferred provider; not `AUTO`.
        model: the model to run.
        device: number of the GPU, from 0.
        cache: the user's cache folder. TensorRT engines take minutes to build; they are kept
            there, in one folder for each model.
    """
    chain: list[ProviderWithOptions] = [(EXECUTION_PROVIDERS[Provider.CPU], {})]
    if provider is not Provider.CPU:
        chain.insert(0, (EXECUTION_PROVIDERS[Provider.CUDA], _cuda_options(device)))
    if provider is Provider.TENSORRT:
        options = _tensorrt_options(model, device, cache)
        chain.insert(0, (EXECUTION_PROVIDERS[Provider.TENSORRT], options))
    return chain


def _cuda_options(device: int) -> dict[str, Any]:
    return {
        "device_id": device,
        # The default, EXHAUSTIVE, times every algorithm again for every new batch shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        # By default float32 is rounded to TF32, whose 10 bits change images by several levels.
        "use_tf32": 0,
    }


def _tensorrt_options(model: Model, device: int, cache: Path) -> dict[str, Any]:
    # TensorRT names its files by graph, GPU architecture and version, but not by weights.
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
    """Return the folder that holds the TensorRT engines and timings of one model."""
    return cache / "tensorrt" / model.sha256


def open_session(
    graph: str | bytes, providers: list[ProviderWithOptions], *, threads: int = 0
) -> ort.InferenceSession:
    """Open an onnxruntime session that prints nothing and flushes denormals in its own threads.

    The threads that call `run` must flush them too: see `denormals_flushed`.

    Args:
        graph: path or content of an ONNX file.
        providers: the execution providers, the preferred one first.
        threads: CPU threads of an inference, the calling one included; 0 means one for each core.

    Raises:
        Exception: onnxruntime cannot load the graph; its exceptions have no common base class.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if providers[0][0] != EXECUTION_PROVIDERS[Provider.CPU]:
        ort.preload_dlls()
        ort.set_default_logger_severity(FATAL_ONLY)
    with denormals_flushed():
        return ort.InferenceSession(graph, options, providers=providers)


def cuda_device_count() -> int:
    """Count the CUDA devices that the driver sees; 0 without a driver."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def gpu_problem(provider: Provider, device: int = 0) -> str:
    """Explain why a GPU provider cannot work here, without trying it; "" if nothing is wrong."""
    if EXECUTION_PROVIDERS[provider] not in ort.get_available_providers():
        return "the installed onnxruntime is built without it (onnxruntime-gpu has it)"
    devices = cuda_device_count()
    if not devices:
        return "no NVIDIA GPU with a working driver"
    if device >= devices:
        return f"there is no GPU {device}; this machine has {devices}, counted from 0"
    return ""


def try_provider(provider: Provider) -> str:
    """Run the smallest graph on a provider; return why that fails, or "" if it works."""
    if provider is not Provider.CPU and (problem := gpu_problem(provider)):
        return problem
    try:
        session = open_session(IDENTITY_GRAPH, [(EXECUTION_PROVIDERS[provider], {})])
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:  # onnxruntime's exceptions have no common base class.
        return one_line(error)
    # Without its libraries, onnxruntime falls back to the CPU and raises nothing.
    if session.get_providers()[0] != EXECUTION_PROVIDERS[provider]:
        return f"onnxruntime could not load its {provider} libraries"
    return ""


def one_line(error: Exception | str) -> str:
    """Shorten a runtime's message, which may span many lines, to one."""
    return " ".join(str(error).split())[:300]
