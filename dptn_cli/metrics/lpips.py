"""LPIPS by the `lpips` package, linear heads v0.1, pictures as on disk."""

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.errors import ModelError
from dptn_cli.metrics.undefined import Undefined
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from dptn_cli.metrics.devices import Device

SMALLEST_SIDE = {"alex": 31, "vgg": 16}
"""Shortest side, pixels, that leaves the network's last layer a pixel."""


class Lpips:
    """LPIPS with one of its networks.

    Args:
        network: `alex` or `vgg`.
        device: where to run.

    Raises:
        ModelError: the weights' file cannot be read.
    """

    def __init__(self, network: str, device: "Device") -> None:
        self._device, self._network = device, network
        self._model = _load(network).to(device.name)

    def distances(
        self, generated_u8: npt.NDArray[np.uint8], truth_u8: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float64]:
        """The distance of each pair.

        Args:
            generated_u8: (N, H, W, 3) uint8.
            truth_u8: of the same shape.

        Returns:
            (N,) float64.

        Raises:
            Undefined: the pictures are too small for the network.
        """
        if min(generated_u8.shape[1:3]) < SMALLEST_SIDE[self._network]:
            raise Undefined(f"a side is shorter than {SMALLEST_SIDE[self._network]} pixels")
        with torch.inference_mode(), self._device.exact():
            distances = self._model(self._input(generated_u8), self._input(truth_u8))
        result: npt.NDArray[np.float64] = distances.reshape(-1).double().cpu().numpy()
        return result

    def _input(self, pictures_u8: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(N, 3, H, W) float32 in [-1, 1], as `lpips.im2tensor` makes it."""
        pictures = torch.from_numpy(np.ascontiguousarray(pictures_u8)).to(self._device.name)
        return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def _load(network: str) -> Any:
    import_torchvision()
    import lpips

    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(None):
            # The heads lie in the package. The trunk would be fetched by torchvision where its
            # file is missing; `weights.missing_for` has looked before.
            return lpips.LPIPS(net=network, version="0.1", verbose=False)
    except Exception as error:  # A broken file can raise nearly anything.
        path = NETWORKS[network].weights.path
        raise ModelError(
            f"{path}: not the weights it should be; delete it and fetch it again: "
            f"{type(error).__name__}"
        ) from error
