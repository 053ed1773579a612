"""The VGG-19 of the perceptual losses, read from torch.hub's cache."""

import torch

from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.io.weights import VGG19, download
from dptn_cli.network.checkpoint import check_tensors, read_checkpoint
from dptn_cli.network.torchvision_compat import import_torchvision
from dptn_cli.train.losses import Vgg19


def load_vgg() -> Vgg19:
    """Read the network, after downloading its weights if they are missing.

    Raises:
        InputError: the weights are missing and cannot be downloaded.
        ModelError: the file in the cache is not the published one.
        MissingDependency: torchvision is not installed.
    """
    if not VGG19.path.is_file():
        try:
            download(VGG19)
        except InputError as error:
            raise InputError(
                f"the perceptual loss needs {VGG19.name}, which is not in {VGG19.path.parent} and "
                f"cannot be downloaded from {VGG19.url}: put it there, or train with "
                "--no-perceptual"
            ) from error
    try:
        models = import_torchvision().models
    except ImportError as error:
        raise MissingDependency(
            "the perceptual loss", "torchvision", "pip install 'dptn-cli[train]'"
        ) from error
    with torch.device("meta"):  # No memory and no random numbers for weights to be replaced.
        layers = models.vgg19(weights=None).features
    tensors = {
        name.removeprefix("features."): tensor
        for name, tensor in read_checkpoint(VGG19.path).items()
        if name.startswith("features.") and isinstance(tensor, torch.Tensor)
    }
    check_tensors(VGG19.path, tensors, layers.state_dict())
    layers.load_state_dict(tensors, assign=True)
    return Vgg19(layers)
