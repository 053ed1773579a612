"""The VGG-19 of the perceptual losses, from torch.hub's cache."""

import torch

from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.io.weights import VGG19, download
from dptn_cli.network.checkpoint import check_tensors, read_checkpoint
from dptn_cli.network.torchvision_compat import import_torchvision
from dptn_cli.train.losses import Vgg19


def load_vgg() -> Vgg19:
    """Read the network, fetching its file first where it is missing.

    Raises:
        InputError: the file is missing and cannot be fetched.
        ModelError: it is not the published file.
        MissingDependency: torchvision is not installed.
    """
    if not VGG19.path.is_file():
        _fetch()
    try:
        models = import_torchvision().models
    except ImportError as error:
        raise MissingDependency(
            "the perceptual loss", "torchvision", "pip install 'dptn-cli[train]'"
        ) from error
    with torch.device("meta"):
        layers = models.vgg19(weights=None).features
    content = read_checkpoint(VGG19.path)
    found = {
        name.removeprefix("features."): tensor
        for name, tensor in content.items()
        if name.startswith("features.") and isinstance(tensor, torch.Tensor)
    }
    check_tensors(VGG19.path, found, layers.state_dict())
    layers.load_state_dict(found, assign=True)
    return Vgg19(layers)


def _fetch() -> None:
    try:
        download(VGG19)
    except InputError as error:
        raise InputError(
            f"the perceptual loss needs {VGG19.name}, which is not in {VGG19.path.parent} "
            f"and cannot be fetched from {VGG19.url}: put it there, or train with --no-perceptual"
        ) from error
