"""An exported model, ready to run batches in onnxruntime or OpenVINO."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.errors import ModelError, SessionLost, user_errors
from dptn_cli.inference.denormals import denormals_flushed
from dptn_cli.inference.io_binding import BoundSession
from dptn_cli.inference.openvino_model import (
    CPU,
    INSTALL_OPENVINO,
    OpenVinoModel,
    has_bf16,
    is_openvino_installed,
    openvino_version,
)
from dptn_cli.inference.providers import (
    EXECUTION_PROVIDERS,
    INSTALL_GPU_LIBRARIES,
    engine_folder,
    gpu_problem,
    one_line,
    open_session,
    provider_options,
)
from dptn_cli.io.cache import cache_folder
from dptn_cli.processor import MAX_CPU_STREAMS, available_cores, processor_abilities
from dptn_cli.types import JOINTS, MISSING, Batch, Model

GPU_STREAMS = 2  # one copies a batch while the other computes


class ProviderUnavailable(ModelError):
    """A provider, or an arithmetic of it, cannot be had for a model on this machine.

    Args:
        reason: why not.
        provider: the provider, if the user named it: then the message names it too.
    """

    def __init__(self, reason: str, provider: Provider | None = None) -> None:
        named = f"--provider {provider} is not available: " if provider else ""
        super().__init__(f"{named}{reason}")
        self.reason = reason


def without_provider(error: ModelError) -> str:
    """Return why a session could not be opened or run, without the name of its provider."""
    return error.reason if isinstance(error, ProviderUnavailable) else str(error)


class _Runner(Protocol):
    """A loaded model, whichever runtime has loaded it."""

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Generate the images of a batch, (T, H, W, 3) uint8 RGB at the network's size."""
        ...


class _PlainSession:
    """An onnxruntime session that takes and returns arrays in the CPU's memory."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        with denormals_flushed():  # This thread computes too.
            (generated,) = self._session.run(["generated"], batch.feeds())
        return np.asarray(generated)


class Session:
    """A loaded model. Safe to use from several threads.

    Args:
        model: as `model_file.read_model` returns it.
        provider: where to run. `AUTO` takes CUDA if it works, else OpenVINO if it is installed,
            else onnxruntime on the CPU.
        streams: number of inferences that run at once, each called from its own thread. On the
            CPU they share the cores, and several inferences of few threads keep them busier than
            one of many threads. 0 chooses `GPU_STREAMS` on a GPU, and one stream for each core on
            the CPU: up to `MAX_CPU_STREAMS`, or in bf16 without a limit, because there the images
            depend on whether several threads share an inference.
        arithmetic: `MODEL`, or `BF16`, which OpenVINO has on some processors. `AUTO` is for
            `arithmetic.settle`, which resolves it.
        threads: number of CPU cores to use; 0 means all that this process may use.
        device: number of the GPU, from 0, or OpenVINO's name of a device, such as `GPU.0`. On the
            CPU, numbers are ignored.
        model_bytes: content of the ONNX file, for a machine that does not have the file; empty
            to read `model.path`.

    Attributes:
        model: the model.
        provider: where the session really runs, never `AUTO`.
        arithmetic: `MODEL` or `BF16`.
        streams: number of inferences that run at once, never 0.
        fallback: why `AUTO` did not take a GPU; empty if it did, or if another provider was named.

    Raises:
        ProviderUnavailable: the provider or the arithmetic named does not work on this machine.
        ModelError: the file cannot be loaded.
    """

    def __init__(
        self,
        model: Model,
        provider: Provider = Provider.AUTO,
        streams: int = 0,
        *,
        arithmetic: Arithmetic = Arithmetic.MODEL,
        threads: int = 0,
        device: int | str = 0,
        model_bytes: bytes = b"",
    ) -> None:
        self.model, self._content, self._device = model, model_bytes, device
        self.arithmetic, self.fallback = arithmetic, ""
        self._wanted_streams, self._threads = streams, threads or available_cores()
        self._runner: _Runner
        if provider is Provider.AUTO:
            self._open_best(streams)
            return
        try:
            self._open(provider, streams)
        except ProviderUnavailable as error:
            raise ProviderUnavailable(error.reason, provider) from error

    def note(self, wanted: Arithmetic = Arithmetic.MODEL) -> str:
        """Return what to tell the user of where `AUTO` runs, and what would be faster.

        Args:
            wanted: the arithmetic that the user asked for.

        Returns:
            One line; empty if a GPU was taken or the provider was named.
        """
        if not self.fallback:
            return ""
        if self.provider is Provider.OPENVINO:
            may_gain = wanted is Arithmetic.MODEL and has_bf16(self._openvino_device)
            hint = " --arithmetic auto may be faster." if may_gain else ""
            return f"Running on the CPU with OpenVINO: {self.fallback}.{hint}"
        is_faster = not is_openvino_installed() and {"bf16", "VNNI"} & {*processor_abilities()}
        hint = f" OpenVINO is faster on this processor: {INSTALL_OPENVINO}" if is_faster else ""
        return f"Running on the CPU with onnxruntime: {self.fallback}.{hint}"

    def in_bf16(self) -> "Session":
        """Open the same model in the same place, in bf16.

        Raises:
            ProviderUnavailable: that is not possible there.
        """
        return Session(
            self.model,
            self.provider,
            self._wanted_streams,
            arithmetic=Arithmetic.BF16,
            threads=self._threads,
            device=self._device,
            model_bytes=self._content,
        )

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Generate the images of a batch.

        Returns:
            (T, H, W, 3) uint8 RGB at the network's size.

        Raises:
            SessionLost: the GPU fails at the smallest batch too.
            ModelError: the runtime failed, for instance because memory ran out.
        """
        try:
            generated = self._runner.run(batch)
        except Exception as error:  # The runtimes' exceptions have no common base class.
            message = f"inference failed: {one_line(error)}"
            if self._is_lost():
                raise SessionLost(f"{self.provider} does not work any more: {message}") from error
            raise ModelError(message) from error
        shape = (len(batch.target_poses), *self.model.spec.network_size, 3)
        if generated.shape != shape:
            raise ModelError(f"inference failed: images of {generated.shape}, not {shape}")
        return generated

    def _is_lost(self) -> bool:
        """Return whether a GPU fails at one black image: after some errors, CUDA never recovers."""
        if self.is_on_cpu:
            return False
        height, width = self.model.spec.network_size
        pose = np.full((1, JOINTS, 2), MISSING, np.float32)
        sources = np.zeros((1, height, width, 3), np.uint8)
        try:
            self._runner.run(Batch(sources, pose, pose, np.zeros(1, np.int64)))
        except Exception:
            return True
        return False

    @property
    def is_on_cpu(self) -> bool:
        """Whether it runs on the processor, in either runtime."""
        if self.provider is Provider.OPENVINO:
            return self._openvino_device == CPU
        return self.provider is Provider.CPU

    @property
    def _openvino_device(self) -> str:
        return self._device if isinstance(self._device, str) else CPU

    def _open_best(self, streams: int) -> None:
        """Open the first provider that works; remember why the GPU was not taken."""
        try:
            self._open(Provider.CUDA, streams)
            return
        except ProviderUnavailable as error:
            self.fallback = str(error)
        if is_openvino_installed():
            try:
                self._open(Provider.OPENVINO, streams)
                return
            except ProviderUnavailable as error:
                self.fallback += f"; {error}"
        self._open(Provider.CPU, streams)

    def _open(self, provider: Provider, streams: int) -> None:
        self.provider = provider
        if provider is Provider.OPENVINO:
            self.streams = streams or self._default_streams()
            self._runner = self._open_in_openvino()
            return
        if self.arithmetic is not Arithmetic.MODEL:
            raise ProviderUnavailable(f"{self.arithmetic} needs --provider openvino")
        if provider is Provider.CPU:
            self.streams = streams or self._default_streams()
            threads = max(1, self._threads // self.streams)
            self._runner = _PlainSession(self._open_in_onnxruntime(provider, threads=threads))
        else:
            self.streams = streams or GPU_STREAMS
            self._runner = self._open_on_gpu(provider)

    def _default_streams(self) -> int:
        if not self.is_on_cpu:
            return GPU_STREAMS
        is_bf16 = self.arithmetic is Arithmetic.BF16
        return self._threads if is_bf16 else min(self._threads, MAX_CPU_STREAMS)

    def _open_in_openvino(self) -> OpenVinoModel:
        content = self._content
        if not content:
            with user_errors(self.model.path, kind=ModelError):
                content = self.model.path.read_bytes()
        try:
            return OpenVinoModel(
                self.model,
                content,
                self.arithmetic,
                streams=self.streams,
                threads=self._threads,
                device=self._openvino_device,
            )
        except ModelError as error:
            raise ProviderUnavailable(str(error)) from error

    def _open_on_gpu(self, provider: Provider) -> BoundSession:
        if isinstance(self._device, str):
            raise ProviderUnavailable(f"devices have numbers; {self._device} is one of OpenVINO's")
        if problem := gpu_problem(provider, self._device):
            raise ProviderUnavailable(problem)
        try:
            session = self._open_in_onnxruntime(provider, device=self._device)
        except ModelError as error:
            raise ProviderUnavailable(str(error)) from error
        # Without its libraries, onnxruntime falls back to the CPU and raises nothing.
        if session.get_providers()[0] != EXECUTION_PROVIDERS[provider]:
            raise ProviderUnavailable(
                f"onnxruntime could not load its {provider} libraries: {INSTALL_GPU_LIBRARIES}"
            )
        return BoundSession(session, "cuda", device_id=self._device, streams=self.streams)

    def _open_in_onnxruntime(
        self, provider: Provider, *, threads: int = 0, device: int = 0
    ) -> ort.InferenceSession:
        cache = cache_folder()
        providers = provider_options(provider, self.model, device=device, cache=cache)
        content = self._content or str(self.model.path)
        try:
            if provider is Provider.TENSORRT:
                engine_folder(self.model, cache).mkdir(parents=True, exist_ok=True)
            return open_session(content, providers, threads=threads)
        except Exception as error:  # onnxruntime's exceptions have no common base class.
            raise ModelError(
                f"{self.model.path}: onnxruntime cannot load it: {one_line(error)}"
            ) from error


def runtime_version(provider: Provider) -> str:
    """Return the version of what a provider belongs to: OpenVINO or onnxruntime."""
    return openvino_version() if provider is Provider.OPENVINO else onnxruntime_version()


def onnxruntime_version() -> str:
    """Return the version of onnxruntime, whichever of its packages is installed."""
    return str(ort.__version__)
