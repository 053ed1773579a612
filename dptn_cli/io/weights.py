"""Files of trained weights in torch.hub's cache: where they belong, and fetching them.

Nothing here imports torch, so a missing file is found out before anything heavy is loaded.
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

    def why_missing(self) -> str | None:
        """That it is not there, and what to do about it; None where it is."""
        if self.path.is_file():
            return None
        return (
            f"the weights {self.name} are missing: {self.where_to_put()}, or add --download-weights"
        )

    def where_to_put(self) -> str:
        """What to do where there is no internet."""
        return f"put the file into {self.path.parent} (published at {self.url})"


VGG19 = WeightFile("vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth")


def hub_folder() -> Path:
    """torch.hub's folder of checkpoints, by torch's own rules."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


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
