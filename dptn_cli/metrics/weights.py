"""Where the learned metrics' weights are looked for, and what to do where one is missing.

Nothing here imports torch, so a missing file is found out before anything heavy is loaded.
"""

import hashlib
import importlib.util
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dptn_cli.errors import InputError
from dptn_cli.files import make_folder, write_atomic

INSTALL = "pip install 'dptn-cli[metrics]'"
DOWNLOAD_TIMEOUT_S = 60.0
_TORCHVISION = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class WeightFile:
    """A file of trained weights.

    Attributes:
        name: its name in torch.hub's cache, which ends in the first digits of its SHA-256.
        url: where it is published.
    """

    name: str
    url: str

    @property
    def path(self) -> Path:
        """Where it belongs."""
        return hub_folder() / self.name

    @property
    def sha256_start(self) -> str:
        """The first digits of the published file's SHA-256."""
        return Path(self.name).stem.rpartition("-")[2]


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


def hub_folder() -> Path:
    """torch.hub's folder of checkpoints, by torch's own rules."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def missing_for(network: str) -> str | None:
    """Why a network cannot run here, and what to do about it; None where it can."""
    needs = NETWORKS[network]
    for package in needs.packages:
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: {INSTALL}"
    weights = needs.weights
    if not weights.path.is_file():
        return (
            f"the weights {weights.name} are missing: put the file into {weights.path.parent} "
            f"(published at {weights.url}), or add --download-weights"
        )
    return None


def download(weights: WeightFile, advance: Callable[[int], None] = lambda _: None) -> None:
    """Fetch a file into torch.hub's cache and check its digest.

    Args:
        weights: what to fetch.
        advance: is told the bytes of each piece.

    Raises:
        InputError: it cannot be fetched, cannot be written, or is not the published file.
    """
    make_folder(weights.path.parent)
    try:
        write_atomic(weights.path, lambda file: _fetch(weights, file, advance))
    except OSError as error:  # URLError is one too.
        reason = getattr(error, "reason", None) or error.strerror or error
        raise InputError(
            f"{weights.url} cannot be fetched: {reason}; fetch it on another machine and put it "
            f"into {weights.path.parent}"
        ) from error


def _fetch(weights: WeightFile, file: BinaryIO, advance: Callable[[int], None]) -> None:
    digest = hashlib.sha256()
    with urllib.request.urlopen(weights.url, timeout=DOWNLOAD_TIMEOUT_S) as answer:
        while piece := answer.read(1 << 20):
            file.write(piece)
            digest.update(piece)
            advance(len(piece))
    if not digest.hexdigest().startswith(weights.sha256_start):
        raise InputError(
            f"{weights.url}: what came is not the published file: its SHA-256 begins with "
            f"{digest.hexdigest()[:8]}, not {weights.sha256_start}"
        )
