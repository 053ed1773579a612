"""LPIPS by the `lpips` package, linear heads v0.1, images as on disk."""

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.metrics.trained import checked, load_trained
from dptn_cli.metrics.undefined import Undefined

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
            Undefined: the images are too small for the network.
            ModelError: the weights give no numbers.
        """
        if min(generated_u8.shape[1:3]) < SMALLEST_SIDE[self._network]:
            raise Undefined(f"a side is shorter than {SMALLEST_SIDE[self._network]} pixels")
        with torch.inference_mode(), self._device.exact():
            distances = self._model(self._input(generated_u8), self._input(truth_u8))
        result: npt.NDArray[np.float64] = distances.reshape(-1).double().cpu().numpy()
        return checked(result, self._network)

    def _input(self, images_u8: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(N, 3, H, W) float32 in [-1, 1], as `lpips.im2tensor` makes it."""
        images = torch.from_numpy(np.ascontiguousarray(images_u8)).to(self._device.name)
        return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def _load(network: str) -> Any:
    def build(_: dict[str, torch.Tensor]) -> Any:
        import lpips  # Imports torchvision, which must be ready.

        # The heads lie in the package.
        with contextlib.redirect_stdout(None):
            return lpips.LPIPS(net=network, version="0.1", verbose=False)

    return load_trained(network, build)
