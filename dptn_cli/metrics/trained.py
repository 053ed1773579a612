"""Trained weights from torch.hub's cache: read as values, never as code."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.errors import ModelError
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.network.torchvision_compat import import_torchvision

Built = TypeVar("Built")
Numbers = TypeVar("Numbers", bound=npt.NDArray[np.floating])


def load_trained(network: str, build: Callable[[dict[str, torch.Tensor]], Built]) -> Built:
    """Read a network's file, and make the network of it.

    lpips and torch-fidelity read the file again by themselves, and unpickle whatever it holds:
    what holds code has been refused here by then.

    Args:
        network: key of `NETWORKS`.
        build: makes the network of the tensors by name.

    Raises:
        ModelError: the file is not what it should be.
    """
    import_torchvision()
    path = NETWORKS[network].weights.path
    try:
        with warnings.catch_warnings(action="ignore"):
            return build(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # A broken file can raise nearly anything.
        raise ModelError(
            f"{path}: not the weights it should be; delete it and fetch it again: "
            f"{type(error).__name__}"
        ) from error


def checked(values: Numbers, network: str) -> Numbers:
    """What a network gave, if it is numbers.

    Raises:
        ModelError: it is not: no report may hold a NaN.
    """
    if not np.isfinite(values).all():
        path = NETWORKS[network].weights.path
        raise ModelError(
            f"{path}: the network gives values that are not finite; delete it and fetch it again"
        )
    return values
