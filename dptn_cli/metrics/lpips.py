"""LPIPS by the `lpips` package: linear heads v0.1, images as stored on disk."""

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.metrics.devices import Device
from dptn_cli.metrics.protocols import Undefined
from dptn_cli.metrics.trained import check_finite, load_trained

MIN_SIDE = {"alex": 31, "vgg": 16}
"""Shortest side, in pixels, that leaves the network's last layer at least one pixel."""


class Lpips:
    """LPIPS with one of its networks.

    Args:
        network: `alex` or `vgg`.
        device: where the network runs.

    Raises:
        ModelError: the file does not hold the network's weights.
    """

    def __init__(self, network: str, device: Device) -> None:
        self._device, self._network = device, network
        self._model = load_trained(network, self._build).to(device.name)

    def distances(
        self, generated_u8: npt.NDArray[np.uint8], truth_u8: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float64]:
        """Return the distance of each pair.

        Args:
            generated_u8: (N, H, W, 3) uint8.
            truth_u8: uint8 of the same shape.

        Returns:
            (N,) float64.

        Raises:
            Undefined: the images are too small for the network.
            ModelError: a distance is not finite.
        """
        if min(generated_u8.shape[1:3]) < MIN_SIDE[self._network]:
            raise Undefined(f"a side is shorter than {MIN_SIDE[self._network]} pixels")
        with torch.inference_mode(), self._device.full_precision():
            distances = self._model(self._input(generated_u8), self._input(truth_u8))
        result: npt.NDArray[np.float64] = distances.reshape(-1).double().cpu().numpy()
        return check_finite(result, self._network)

    def _input(self, images_u8: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Return (N, 3, H, W) float32 in [-1, 1], equal to `lpips.im2tensor`."""
        images = torch.from_numpy(np.ascontiguousarray(images_u8)).to(self._device.name)
        return images.permute(0, 3, 1, 2).float() / 127.5 - 1

    def _build(self, _: dict[str, torch.Tensor]) -> Any:
        import lpips  # Imports torchvision, which `load_trained` has prepared.

        # lpips reads the weights by itself, and its heads are part of the package.
        with contextlib.redirect_stdout(None):
            return lpips.LPIPS(net=self._network, version="0.1", verbose=False)
