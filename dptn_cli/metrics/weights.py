"""What the learned metrics' networks need, and what to do where something is missing.

Nothing here imports torch, so a missing file is found out before anything heavy is loaded.
"""

import importlib.util
from dataclasses import dataclass

from dptn_cli.io.weights import WeightFile, download, hub_folder

__all__ = ["NETWORKS", "NetworkNeeds", "WeightFile", "download", "hub_folder", "missing_for"]

INSTALL = "pip install 'dptn-cli[metrics]'"
_TORCHVISION = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class NetworkNeeds:
    """What a learned metric's network needs.

    Attributes:
        title: what to call it.
        weights: its file.
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
    """Why a network cannot run here, and what to do about it; None where it can."""
    needs = NETWORKS[network]
    for package in needs.packages:
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: {INSTALL}"
    return needs.weights.why_missing()
