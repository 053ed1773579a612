"""An exported model in an onnxruntime session, ready to run batches."""

import os

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError, SessionLost
from dptn_cli.inference.io_binding import BoundSession
from dptn_cli.inference.providers import (
    EXECUTION_PROVIDERS,
    FATAL_ONLY,
    INSTALL_GPU_LIBRARIES,
    engine_folder,
    gpu_problem,
    one_line,
    provider_options,
)
from dptn_cli.io.cache import cache_folder
from dptn_cli.types import JOINTS, MISSING, Batch, Model

MAX_CPU_STREAMS = 8  # each holds a batch's activations, about 60 MB an image of 256x256
GPU_STREAMS = 2  # one copies a batch while the other computes


class ProviderUnavailable(ModelError):
    """An execution provider cannot run a model on this machine."""


class Session:
    """An onnxruntime session of one model. Safe to use from several threads.

    Args:
        model: as `model_file.read_model` returns it.
        provider: where to run. `AUTO` takes CUDA if it works, else the CPU.
        streams: number of inferences that run at once, each called from its own thread. On the
            CPU they share the cores, and several inferences of few threads keep them busier than
            one of many threads. 0 chooses one stream for each core, up to `MAX_CPU_STREAMS`, and
            `GPU_STREAMS` on a GPU.
        threads: number of CPU cores to use; 0 means all that this process may use.
        device: number of the GPU, from 0; ignored on the CPU.
        model_bytes: content of the ONNX file, for a machine that does not have the file; empty
            to read `model.path`.

    Attributes:
        model: the model.
        provider: where the session really runs, never `AUTO`.
        streams: number of inferences that run at once, never 0.
        fallback: why `AUTO` did not take a GPU; empty if it did, or if another provider was named.

    Raises:
        ProviderUnavailable: the provider named does not work on this machine.
        ModelError: onnxruntime cannot load the file.
    """

    def __init__(
        self,
        model: Model,
        provider: Provider = Provider.AUTO,
        streams: int = 0,
        *,
        threads: int = 0,
        device: int = 0,
        model_bytes: bytes = b"",
    ) -> None:
        self.model, self._content = model, model_bytes or str(model.path)
        self.fallback = ""
        self._bound: BoundSession | None = None
        if provider is not Provider.CPU:
            try:
                self._open_on_gpu(provider, device, streams or GPU_STREAMS)
                return
            except ProviderUnavailable as error:
                if provider is not Provider.AUTO:
                    raise ProviderUnavailable(
                        f"--provider {provider} is not available: {error}"
                    ) from error
                self.fallback = str(error)
        threads = threads or available_cores()
        self.provider = Provider.CPU
        self.streams = streams or min(threads, MAX_CPU_STREAMS)
        self._session = self._open(Provider.CPU, threads=max(1, threads // self.streams))

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Generate the images of a batch.

        Returns:
            (T, H, W, 3) uint8 RGB at the network's size.

        Raises:
            SessionLost: the GPU fails at the smallest batch too.
            ModelError: onnxruntime failed, for instance because memory ran out.
        """
        try:
            generated = self._run(batch)
        except Exception as error:  # onnxruntime's exceptions have no common base class.
            message = f"inference failed: {one_line(error)}"
            if self._is_lost():
                raise SessionLost(f"{self.provider} does not work any more: {message}") from error
            raise ModelError(message) from error
        shape = (len(batch.target_poses), *self.model.spec.network_size, 3)
        if generated.shape != shape:
            raise ModelError(f"inference failed: images of {generated.shape}, not {shape}")
        return generated

    def _run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        if self._bound:
            return self._bound.run(batch)
        (generated,) = self._session.run(["generated"], batch.feeds())
        return np.asarray(generated)

    def _is_lost(self) -> bool:
        """Return whether a GPU fails at one black image: after some errors, CUDA never recovers."""
        if self.provider is Provider.CPU:
            return False
        height, width = self.model.spec.network_size
        pose = np.full((1, JOINTS, 2), MISSING, np.float32)
        sources = np.zeros((1, height, width, 3), np.uint8)
        try:
            self._run(Batch(sources, pose, pose, np.zeros(1, np.int64)))
        except Exception:
            return True
        return False

    def _open_on_gpu(self, provider: Provider, device: int, streams: int) -> None:
        self.provider = Provider.CUDA if provider is Provider.AUTO else provider
        if problem := gpu_problem(self.provider, device):
            raise ProviderUnavailable(problem)
        try:
            self._session = self._open(self.provider, device=device)
        except ModelError as error:
            raise ProviderUnavailable(str(error)) from error
        # Without its libraries, onnxruntime falls back to the CPU and raises nothing.
        if self._session.get_providers()[0] != EXECUTION_PROVIDERS[self.provider]:
            raise ProviderUnavailable(
                f"onnxruntime could not load its {self.provider} libraries: {INSTALL_GPU_LIBRARIES}"
            )
        self.streams = streams
        self._bound = BoundSession(self._session, "cuda", device_id=device, streams=streams)

    def _open(
        self, provider: Provider, *, threads: int = 0, device: int = 0
    ) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = FATAL_ONLY
        # Softmax over a thousand tokens leaves denormals, which slow the CPU down 1.6 times.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        if provider is not Provider.CPU:
            ort.preload_dlls()
            ort.set_default_logger_severity(FATAL_ONLY)
        cache = cache_folder()
        providers = provider_options(provider, self.model, device=device, cache=cache)
        try:
            if provider is Provider.TENSORRT:
                engine_folder(self.model, cache).mkdir(parents=True, exist_ok=True)
            return ort.InferenceSession(self._content, options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions have no common base class.
            raise ModelError(
                f"{self.model.path}: onnxruntime cannot load it: {one_line(error)}"
            ) from error


def available_cores() -> int:
    """Count the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def onnxruntime_version() -> str:
    """Return the version of onnxruntime, whichever of its packages is installed."""
    return str(ort.__version__)
