"""The packages and weights that the learned metrics need.

This module does not import torch, so a missing file is noticed before anything heavy is loaded.
"""

import importlib.util
from dataclasses import dataclass

from dptn_cli.io.weights import WeightFile

INSTALL = "pip install 'dptn-cli[metrics]'"
_TORCHVISION = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class NetworkNeeds:
    """The requirements of a learned metric's network.

    Attributes:
        title: the network's name in messages.
        weights: the file of its trained weights.
        packages: modules that must be importable.
    """

    title: str
    weights: WeightFile
    packages: tuple[str, ...]


NETWORKS = {
    "alex": NetworkNeeds(
        "LPIPS with AlexNet",
        WeightFile("alexnet-owt-7be5be79.pth", _TORCHVISION + "alexnet-owt-7be5be79.pth"),
        ("torch", "torchvision", "lpips"),
    ),
    "vgg": NetworkNeeds(
        "LPIPS with VGG-16",
        WeightFile("vgg16-397923af.pth", _TORCHVISION + "vgg16-397923af.pth"),
        ("torch", "torchvision", "lpips"),
    ),
    "inception_published": NetworkNeeds(
        "torchvision's Inception-v3",
        WeightFile(
            "inception_v3_google-0cc3c7bd.pth", _TORCHVISION + "inception_v3_google-0cc3c7bd.pth"
        ),
        ("torch", "torchvision"),
    ),
    "inception_tensorflow": NetworkNeeds(
        "TensorFlow's Inception-v3",
        WeightFile(
            "weights-inception-2015-12-05-6726825d.pth",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        ("torch", "torchvision", "torch_fidelity"),
    ),
}


def missing_for(network: str) -> str | None:
    """Return why a network cannot run on this machine and how to fix that; None if it can."""
    needs = NETWORKS[network]
    for package in needs.packages:
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: {INSTALL}"
    return needs.weights.why_missing()
