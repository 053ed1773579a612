"""Files of trained weights in torch.hub's cache: where they belong, and how to download them.

This module does not import torch, so a missing file is noticed before anything heavy is loaded.
"""

import hashlib
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dptn_cli.errors import InputError
from dptn_cli.io.files import make_folder, write_atomic

DOWNLOAD_TIMEOUT_S = 60.0
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """A published file of trained weights.

    Attributes:
        name: the file's name in torch.hub's cache. Its stem ends in `-` and the first digits of
            the file's SHA-256.
        url: the address that the file is downloaded from.
    """

    name: str
    url: str

    @property
    def path(self) -> Path:
        """The file's path in torch.hub's cache, whether it exists or not."""
        return hub_folder() / self.name

    @property
    def sha256_start(self) -> str:
        """The first digits of the published file's SHA-256."""
        return Path(self.name).stem.rpartition("-")[2]

    def why_missing(self) -> str | None:
        """Return a message that the file is missing and how to get it; None if it exists."""
        if self.path.is_file():
            return None
        return (
            f"the weights {self.name} are missing: {self.where_to_put()}, or add --download-weights"
        )

    def where_to_put(self) -> str:
        """Return the instruction for installing the file by hand, without internet access."""
        return f"put the file into {self.path.parent} (published at {self.url})"


VGG19 = WeightFile("vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth")


def hub_folder() -> Path:
    """Return torch.hub's folder of checkpoints, by the same rules as torch.hub itself."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def download(weights: WeightFile, advance: Callable[[int], None] = lambda _: None) -> None:
    """Download a file into torch.hub's cache and check its digest.

    Args:
        weights: the file to download.
        advance: called with the number of bytes of each chunk.

    Raises:
        InputError: the file cannot be downloaded or written, or is not the published one.
    """
    make_folder(weights.path.parent)
    try:
        write_atomic(weights.path, lambda file: _fetch(weights, file, advance))
    except OSError as error:  # urllib's URLError is an OSError too.
        reason = getattr(error, "reason", None) or error.strerror or error
        raise InputError(
            f"{weights.url} cannot be downloaded: {reason}; download it on another machine and "
            f"put it into {weights.path.parent}"
        ) from error


def _fetch(weights: WeightFile, file: BinaryIO, advance: Callable[[int], None]) -> None:
    digest = hashlib.sha256()
    with urllib.request.urlopen(weights.url, timeout=DOWNLOAD_TIMEOUT_S) as response:
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            advance(len(chunk))
    if not digest.hexdigest().startswith(weights.sha256_start):
        raise InputError(
            f"{weights.url}: the download is not the published file: its SHA-256 begins with "
            f"{digest.hexdigest()[:8]}, not {weights.sha256_start}"
        )
