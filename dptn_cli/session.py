"""onnxruntime: reading a model's own account, choosing a provider, running batches."""

import ctypes
import hashlib
import os
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dptn_cli.binding import BoundSession
from dptn_cli.cache import cache_folder
from dptn_cli.errors import InputError, ModelError
from dptn_cli.onnx_file import metadata_props
from dptn_cli.providers import EXECUTION_PROVIDERS, engine_folder, provider_options
from dptn_cli.records import JOINTS, Batch, Frame, Model

Provider: TypeAlias = Literal["auto", "cuda", "tensorrt", "cpu"]

FORMAT = "1"
PREFIX = "dptn."
INPUTS = {
    "source": "tensor(uint8)",
    "source_pose": "tensor(float)",
    "target_pose": "tensor(float)",
    "source_index": "tensor(int64)",
}
MOST_LANES = 8  # each holds a batch's activations, some 60 MB a picture of 256x256
GPU_LANES = 2  # one batch is copied while the other runs
_FATAL_ONLY = 4
# y = Identity(x), x of one float32: an ONNX file of opset 13, to open where no model is.
IDENTITY_GRAPH = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a02"
    "0801620f0a0179120a0a08080112040a02080142040a00100d"
)


def read_model(path: Path) -> Model:
    """Read what an exported file says of itself, without building a session.

    Raises:
        ModelError: no such file, not ONNX, not exported by dptn, or by a newer one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    try:
        properties = dict(metadata_props(content))
    except ValueError as error:
        raise ModelError(f"{path}: not an ONNX file, or a truncated one") from error
    metadata = {
        key.removeprefix(PREFIX): value
        for key, value in properties.items()
        if key.startswith(PREFIX)
    }
    if "format" not in metadata:
        raise ModelError(f"{path}: not made by `dptn export`, which alone writes what is needed")
    if metadata["format"] != FORMAT:
        raise ModelError(f"{path}: format {metadata['format']}, this dptn reads {FORMAT}")
    try:
        frame = _frame(metadata)
        precision = metadata["precision"]
    except (KeyError, ValueError, InputError) as error:
        raise ModelError(f"{path}: its dptn metadata is incomplete: {error}") from error
    target = metadata.get("target", "any")  # which files of older versions do not tell
    sha256 = hashlib.sha256(content).hexdigest()
    return Model(path, sha256, frame, precision, metadata, target)


def _frame(metadata: dict[str, str]) -> Frame:
    if int(metadata["joints"]) != JOINTS:
        raise ValueError(f"{metadata['joints']} joints")
    sizes = []
    for key in ("image_size", "network_size"):
        height, width = metadata[key].split("x")
        sizes.append((int(height), int(width)))
    return Frame(metadata["dataset"], sizes[0], sizes[1], float(metadata["sigma"]))


class Session:
    """A model, ready to run.

    Args:
        model: from `read_model`.
        provider: `auto` takes CUDA where it works, else the CPU.
        lanes: inferences that will run at once, from as many threads. On the CPU they share the
            cores: several narrow inferences wait less for each other than the threads of one
            wide one do. 0: a lane for each core, up to `MOST_LANES`; on a GPU, `GPU_LANES`.
        threads: CPU cores to use; 0: all that this process may use.
        device: which GPU; without meaning on the CPU.
        content: of the model's file, where that may not be on this machine.

    Attributes:
        model: the same.
        provider: where it really runs: `cuda`, `tensorrt` or `cpu`.
        lanes: as above, never 0.
        fallback: why `auto` did not take a GPU; empty where it did.

    Raises:
        ModelError: the provider asked for cannot be had, or the file cannot be run.
    """

    def __init__(
        self,
        model: Model,
        provider: Provider = "auto",
        lanes: int = 0,
        *,
        threads: int = 0,
        device: int = 0,
        content: bytes = b"",
    ) -> None:
        self.model, file = model, content or str(model.path)
        self.provider, self.fallback = "cpu", ""
        if provider != "cpu":
            wanted = "cuda" if provider == "auto" else provider
            opened = _open_on_gpu(model, file, wanted, device)
            if isinstance(opened, str) and provider != "auto":
                raise ModelError(f"--provider {provider} cannot be had: {opened}")
            if isinstance(opened, str):
                self.fallback = opened
            else:
                self.provider, self._session = wanted, opened
        threads = threads or cores()
        self.lanes = lanes or (min(threads, MOST_LANES) if self.provider == "cpu" else GPU_LANES)
        if self.provider == "cpu":
            self._session = _open(model, file, "cpu", threads=max(1, threads // self.lanes))
        _check_contract(model.path, self._session)
        self._bound = None
        if self.provider != "cpu":
            self._bound = BoundSession(self._session, "cuda", device_id=device, lanes=self.lanes)

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Make the batch's pictures.

        Returns:
            (T, H, W, 3) uint8 RGB at the network's size.

        Raises:
            ModelError: onnxruntime failed, out of memory for instance.
        """
        try:
            if self._bound:
                return self._bound.run(batch)
            (generated,) = self._session.run(["generated"], batch.feeds())
        except Exception as error:  # onnxruntime's own exceptions have no common base.
            raise ModelError(f"inference failed: {_one_line(error)}") from error
        return np.asarray(generated)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open_on_gpu(
    model: Model, file: str | bytes, provider: str, device: int
) -> ort.InferenceSession | str:
    """A session that really runs on the GPU, or why there can be none."""
    if problem := _gpu_problem(provider, device):
        return problem
    try:
        session = _open(model, file, provider, device=device)
    except ModelError as error:
        return str(error)
    # Without its libraries onnxruntime takes the CPU, and only the session tells.
    if session.get_providers()[0] == EXECUTION_PROVIDERS[provider]:
        return session
    return (
        f"onnxruntime could not load its {provider} libraries: "
        "pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )


def _gpu_problem(provider: str, device: int = 0) -> str:
    """Why a GPU provider cannot work here, as far as can be told before trying it; or ''."""
    if EXECUTION_PROVIDERS[provider] not in ort.get_available_providers():
        return "the installed onnxruntime is built without it (onnxruntime-gpu has it)"
    devices = cuda_devices()
    if not devices:
        return "no NVIDIA GPU with a working driver"
    if device >= devices:
        return f"no GPU {device}: there are {devices}, counted from 0"
    return ""


def cuda_devices() -> int:
    """How many CUDA devices the driver sees; 0 without a driver."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def _open(
    model: Model, file: str | bytes, provider: str, *, threads: int = 0, device: int = 0
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL_ONLY
    # Softmax over a thousand tokens leaves denormals, which are slow: 1.6x on the CPU.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if provider != "cpu":
        ort.preload_dlls()
        ort.set_default_logger_severity(_FATAL_ONLY)
    cache = cache_folder()
    providers = provider_options(provider, model, device=device, cache=cache)
    try:
        if provider == "tensorrt":
            engine_folder(model, cache).mkdir(parents=True, exist_ok=True)
        return ort.InferenceSession(file, options, providers=providers)
    except Exception as error:  # onnxruntime's own exceptions have no common base.
        raise ModelError(f"{model.path}: onnxruntime cannot load it: {_one_line(error)}") from error


def try_provider(name: Literal["cpu", "cuda", "tensorrt"]) -> str:
    """Open a session on the smallest of graphs and run it; why that fails, or ''."""
    if name != "cpu" and (problem := _gpu_problem(name)):
        return problem
    try:
        if name != "cpu":
            ort.preload_dlls()
        options = ort.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        session = ort.InferenceSession(
            IDENTITY_GRAPH, options, providers=[EXECUTION_PROVIDERS[name]]
        )
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:  # onnxruntime's own exceptions have no common base.
        return _one_line(error)
    if session.get_providers()[0] != EXECUTION_PROVIDERS[name]:
        return f"onnxruntime could not load its {name} libraries"
    return ""


def _check_contract(path: Path, session: ort.InferenceSession) -> None:
    inputs = {entry.name: entry.type for entry in session.get_inputs()}
    outputs = {entry.name: entry.type for entry in session.get_outputs()}
    if inputs != INPUTS or outputs != {"generated": "tensor(uint8)"}:
        raise ModelError(f"{path}: its inputs and outputs are not those of format {FORMAT}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def runtime_version() -> str:
    """Version of onnxruntime, whichever of its packages is installed."""
    return str(ort.__version__)
