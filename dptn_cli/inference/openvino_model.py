"""An exported model in OpenVINO, which computes in bf16 where the processor can.

OpenVINO is imported only when a model is opened. Its packages bring a telemetry client, which
would report each import over the network; it is kept out.
"""

import hashlib
import importlib.util
import json
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli import __version__
from dptn_cli.enums import Arithmetic
from dptn_cli.errors import InputError, ModelError
from dptn_cli.inference.denormals import denormals_flushed
from dptn_cli.inference.providers import IDENTITY_GRAPH, one_line
from dptn_cli.io.cache import cache_folder
from dptn_cli.io.files import write_atomic
from dptn_cli.processor import processor_abilities, processor_name
from dptn_cli.types import Batch, Model

INSTALL_OPENVINO = "pip install 'dptn-cli[openvino]'"
CPU = "CPU"  # OpenVINO's name of the processor
_TELEMETRY = "openvino_telemetry"
_import_lock = threading.Lock()
# Constants up to this size get a copy for each operator: OpenVINO merges a bias or a norm's scale
# into its neighbour only if no other operator uses the same constant.
_COPIED_BYTES = 1 << 16
_DIGEST_BYTES = 32  # of the SHA-256 at the start of a cached file


def is_openvino_installed() -> bool:
    """Return whether the package is there, without importing it."""
    return "openvino" in sys.modules or importlib.util.find_spec("openvino") is not None


def import_openvino() -> Any:
    """Import the package without its telemetry client, and make it safe to use from threads.

    Raises:
        ModelError: it is not installed, or cannot be imported.
    """
    with _import_lock:
        openvino = _import_without_telemetry()
        _use_once(openvino)
    return openvino


@cache
def _core(openvino: Any) -> Any:
    """Return the one `Core` of this process, which is never destroyed.

    A `Core` that looks for GPUs installs an alternate signal stack in its thread, and frees it when
    it is destroyed, maybe in another thread. The next signal would then crash the process.
    """
    return openvino.Core()


@cache
@denormals_flushed()
def _use_once(openvino: Any) -> Any:
    """Pass arrays to OpenVINO and back in one thread.

    Its binding sets up NumPy at the first array that it sees. Two threads that both pass the first
    array deadlock: one holds the interpreter's lock, the other the guard of a C++ static.
    """
    core = _core(openvino)
    compiled = core.compile_model(core.read_model(IDENTITY_GRAPH), CPU)
    request = compiled.create_infer_request()
    request.infer({"x": np.zeros(1, np.float32)}, share_inputs=True)
    return np.array(request.get_output_tensor(0).data)


def _import_without_telemetry() -> Any:
    blocked = _TELEMETRY not in sys.modules
    if blocked:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        missing = "is not installed" if error.name == "openvino" else f"fails: {one_line(error)}"
        raise ModelError(f"the package openvino {missing}: {INSTALL_OPENVINO}") from error
    finally:
        if blocked:
            del sys.modules[_TELEMETRY]
    return openvino


def openvino_version() -> str:
    """Return the version of OpenVINO.

    Raises:
        ModelError: it is not installed, or cannot be imported.
    """
    return str(import_openvino().__version__).split("-")[0]


def has_bf16(device: str = CPU) -> bool:
    """Return whether OpenVINO computes in bf16 on a device.

    Raises:
        ModelError: OpenVINO is not installed, or has no such device.
    """
    core = _core(import_openvino())
    _check_device(core, device)
    return "BF16" in core.get_property(device, "OPTIMIZATION_CAPABILITIES")


def openvino_problem() -> str:
    """Run the smallest graph in OpenVINO; return why that fails, or "" if it works."""
    try:
        _use_once.__wrapped__(import_openvino())
    except Exception as error:  # OpenVINO raises RuntimeError and others.
        return _reason(error).removesuffix(f": {INSTALL_OPENVINO}")
    return ""


class OpenVinoModel:
    """A model that OpenVINO has compiled. Safe to use from several threads.

    Args:
        model: as `model_file.read_model` returns it.
        content: the ONNX file's content.
        arithmetic: `MODEL`, or `BF16` to compute in bf16 what the file has in floating point.
        streams: number of inferences that run at once.
        threads: number of CPU cores to use, for all of them.
        device: OpenVINO's name of the device: `CPU`, or for instance `GPU.0` or `NPU`.

    Raises:
        ModelError: OpenVINO is not installed, has no such device or cannot compile the model, or
            the device does not compute in bf16.
    """

    def __init__(
        self,
        model: Model,
        content: bytes,
        arithmetic: Arithmetic,
        *,
        streams: int,
        threads: int,
        device: str = CPU,
    ) -> None:
        self._openvino = import_openvino()
        self._core = _core(self._openvino)
        _check_device(self._core, device)
        if arithmetic is Arithmetic.BF16 and not has_bf16(device):
            raise ModelError(f"OpenVINO does not compute in bf16 on this {device}")
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if arithmetic is Arithmetic.BF16 else "f32",
            "NUM_STREAMS": streams,
        }
        if device == CPU:
            options |= {
                "INFERENCE_NUM_THREADS": threads,
                "CPU_DENORMALS_OPTIMIZATION": True,
                # Several processes would pin their threads to the same first cores.
                "ENABLE_CPU_PINNING": False,
            }
        try:
            with denormals_flushed():  # OpenVINO leaves the thread flushing them.
                compiled = self._compile(model, content, device, options)
            self._requests: SimpleQueue[Any] = SimpleQueue()
            for _ in range(streams):
                self._requests.put(compiled.create_infer_request())
        except Exception as error:  # OpenVINO raises RuntimeError and others.
            raise ModelError(f"OpenVINO cannot load it: {_reason(error)}") from error

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Generate the images of a batch.

        Returns:
            (T, H, W, 3) uint8 RGB at the network's size, an array that the caller owns.
        """
        request = self._requests.get()
        try:
            with denormals_flushed():
                request.infer(batch.feeds(), share_inputs=True)
            # Copied: the next inference overwrites the request's own tensor.
            return np.array(request.get_output_tensor(0).data)
        finally:
            self._requests.put(request)

    def _compile(self, model: Model, content: bytes, device: str, options: dict[str, Any]) -> Any:
        """Compile the model, or import what an earlier run has compiled."""
        key = [model.sha256, self._openvino.__version__, __version__, device, options]
        key += [processor_name(), processor_abilities()]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
        path = cache_folder() / "openvino" / f"{digest}.blob"
        if blob := _read_blob(path):
            with suppress(Exception):  # OpenVINO raises many; what it refuses is compiled again.
                return self._core.import_model(blob, device, options)
        graph = self._core.read_model(content)
        self._copy_shared_constants(graph)
        compiled = self._core.compile_model(graph, device, options)
        with suppress(Exception):  # Without a cache, the next run compiles again.
            _write_blob(path, compiled.export_model())
        return compiled

    def _copy_shared_constants(self, graph: Any) -> None:
        """Give each operator a copy of the small constants that it shares with others."""
        for constant in graph.get_ordered_ops():
            if constant.get_type_name() != "Constant" or constant.get_byte_size() > _COPIED_BYTES:
                continue
            for user in list(constant.output(0).get_target_inputs())[1:]:
                copy = self._openvino.op.Constant(constant.get_tensor_view(), shared_memory=False)
                user.replace_source_output(copy.output(0))


def _reason(error: Exception) -> str:
    """Return what an error of OpenVINO says, without the places in its source code."""
    text = str(error).rpartition("\nSummary:\n")[2]
    sources = ("Exception from ", "Check '")
    lines = [line for line in text.splitlines() if not line.startswith(sources)]
    return one_line(" ".join(line.removeprefix("-- ") for line in lines) or text)


def _check_device(core: Any, device: str) -> None:
    if device == CPU:
        return
    devices = core.available_devices
    if device not in devices and not any(name.startswith(f"{device}.") for name in devices):
        listed = ", ".join(devices) or "none"
        raise ModelError(f"OpenVINO has no device {device} here; it lists {listed}")


def _read_blob(path: Path) -> bytes | None:
    """Read a file of `_write_blob`; None if there is none, or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, blob = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return blob if hashlib.sha256(blob).digest() == digest else None


def _write_blob(path: Path, exported: Any) -> None:
    blob = bytes(exported if isinstance(exported, bytes) else exported.getvalue())
    with suppress(OSError, InputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: file.write(hashlib.sha256(blob).digest() + blob))
