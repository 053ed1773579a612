"""Any ONNX file in an onnxruntime session, for networks other than DPTN."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.denormals import denormals_flushed
from dptn_cli.inference.providers import (
    EXECUTION_PROVIDERS,
    ProviderWithOptions,
    gpu_problem,
    one_line,
    open_session,
)


class GraphSession:
    """An onnxruntime session of a graph with one output. Safe to use from several threads.

    On the CPU, an inference runs in the thread that calls it, so several of them keep several cores
    busy.

    Args:
        path: the ONNX file.
        provider: `AUTO`, `CUDA` or `TENSORRT` to take CUDA if it works; any other for the CPU.

    Attributes:
        provider: where the session really runs, `CUDA` or `CPU`.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """

    def __init__(self, path: Path, provider: Provider = Provider.AUTO) -> None:
        providers: list[ProviderWithOptions] = [(EXECUTION_PROVIDERS[Provider.CPU], {})]
        may_use_gpu = provider not in (Provider.CPU, Provider.OPENVINO)
        if may_use_gpu and not gpu_problem(Provider.CUDA):
            providers.insert(0, (EXECUTION_PROVIDERS[Provider.CUDA], {}))
        try:
            self._session = open_session(str(path), providers, threads=1)
        except Exception as error:  # onnxruntime's exceptions have no common base class.
            raise ModelError(f"{path}: onnxruntime cannot load it: {one_line(error)}") from error
        # Without its libraries, onnxruntime falls back to the CPU and raises nothing.
        is_on_gpu = self._session.get_providers()[0] == EXECUTION_PROVIDERS[Provider.CUDA]
        self.provider = Provider.CUDA if is_on_gpu else Provider.CPU

    def run(self, feeds: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
        """Run the graph.

        Args:
            feeds: the arrays by the names of the graph's inputs.

        Returns:
            The output.

        Raises:
            ModelError: onnxruntime failed, for instance because memory ran out.
        """
        try:
            with denormals_flushed():
                (output,) = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime's exceptions have no common base class.
            raise ModelError(f"inference failed: {one_line(error)}") from error
        return np.asarray(output, np.float32)
