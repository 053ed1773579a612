"""Trained weights from torch.hub's cache, read as tensors and never as code."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.errors import ModelError
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.network.torchvision_compat import import_torchvision

Network = TypeVar("Network")
Floats = TypeVar("Floats", bound=npt.NDArray[np.floating])


def load_trained(network: str, build: Callable[[dict[str, torch.Tensor]], Network]) -> Network:
    """Read the weights of a network and build it.

    lpips and torch-fidelity read the file again by themselves, and unpickle all of it. A file
    that holds code never gets that far, because it is refused here first.

    Args:
        network: key of `NETWORKS`.
        build: returns the network; takes the tensors by name.

    Raises:
        ModelError: the file is missing, is damaged, or does not hold the network's weights.
    """
    import_torchvision()
    path = NETWORKS[network].weights.path
    try:
        with warnings.catch_warnings(action="ignore"):
            return build(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # A damaged file can raise nearly anything.
        raise ModelError(
            f"{path}: not the weights it should be; delete it and fetch it again: "
            f"{type(error).__name__}"
        ) from error


def check_finite(values: Floats, network: str) -> Floats:
    """Return the output of a network unchanged, if all of it is finite.

    Raises:
        ModelError: a value is NaN or infinite, which no report may hold.
    """
    if not np.isfinite(values).all():
        path = NETWORKS[network].weights.path
        raise ModelError(
            f"{path}: the network gives values that are not finite; delete it and fetch it again"
        )
    return values
