"""Trained pose networks of openpifpaf: found by name or path, and loaded safely.

A checkpoint is a pickle of whole modules, and unpickling can run any code. Only the classes that
a pose network is built from are allowed; a file that contains anything else is refused before it
runs. openpifpaf itself unpickles named checkpoints without this guard, so names are resolved here.
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dptn_cli.detect.openpifpaf_package import import_openpifpaf
from dptn_cli.errors import InputError, ModelError
from dptn_cli.io.content_kinds import content_kind, not_a
from dptn_cli.io.files import file_sha256
from dptn_cli.io.weights import WeightFile, download
from dptn_cli.keypoints import COCO_NAMES

# openpifpaf's documentation calls shufflenetv2k30 more accurate than the faster shufflenetv2k16.
# A pose is detected once and used many times, so accuracy counts for more than speed.
DEFAULT_CHECKPOINT = "shufflenetv2k30"
_RELEASE = "https://github.com/openpifpaf/torchhub/releases/download/v0.13/"
PUBLISHED = {
    name: WeightFile(file, _RELEASE + file)
    for name, file in {
        "resnet50": "resnet50-210830-150728-cocokp-slurm728641-edge513-o10s-ecd30da4.pkl",
        "shufflenetv2k16": "shufflenetv2k16-210820-232500-cocokp-slurm726069-edge513-o10s-"
        "7189450a.pkl",
        "shufflenetv2k30": "shufflenetv2k30-210821-003923-cocokp-slurm726072-edge513-o10s-"
        "5fe1c400.pkl",
    }.items()
}
_PROBE_SIDE_PX = 65  # side of the square image that a loaded network is tried on


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that the user chose by path or by name.

    Attributes:
        label: the option and its value, such as `--detector resnet50`, for error messages.
        path: the file.
        missing_weights: the published file that must still be downloaded to `path`; None if
            the file is already there.
    """

    label: str
    path: Path
    missing_weights: WeightFile | None = None

    def require(
        self, *, download_weights: bool = False, announce: Callable[[str], object] = lambda _: None
    ) -> Path:
        """Return the path of the file, after downloading it if that is allowed and needed.

        Args:
            download_weights: download the file if it is missing.
            announce: called with a message before a download starts.

        Raises:
            InputError: the file is missing and must not be downloaded, or the download failed.
        """
        weights = self.missing_weights
        if weights is None:
            return self.path
        if not download_weights:
            raise InputError(f"{self.label}: {weights.why_missing()}")
        announce(f"Downloading {weights.url}")
        download(weights)
        return self.path


@dataclass(frozen=True)
class LoadedNetwork:
    """A pose network loaded from a checkpoint.

    Attributes:
        model: openpifpaf's Shell, in evaluation mode, on the CPU.
        sha256: SHA-256 of the checkpoint file, as hexadecimal digits.
        stride: pixels per cell of the network's output fields.
        long_edge: long edge of the training images, pixels; None if the checkpoint does not say.
    """

    model: Any
    sha256: str
    stride: int
    long_edge: int | None = None


def find_checkpoint(checkpoint: str, option: str = "--detector") -> Checkpoint:
    """Find a checkpoint by the name of a published one, or by path.

    Args:
        checkpoint: a published name (a key of `PUBLISHED`), or the path of a file.
        option: the option that the user gave it with, for error messages.

    Raises:
        InputError: it is neither a published name nor the path of a file.
    """
    label = f"{option} {checkpoint}"
    if checkpoint in PUBLISHED:
        weights = PUBLISHED[checkpoint]
        return Checkpoint(label, weights.path, None if weights.path.is_file() else weights)
    path = Path(checkpoint)
    if path.is_file():
        return Checkpoint(label, path)
    raise InputError(
        f"{label}: no such file, and not a published checkpoint ({', '.join(PUBLISHED)}), nor "
        "auto, movenet or openpifpaf"
    )


def load_network(path: Path) -> LoadedNetwork:
    """Load a checkpoint and check that its network detects COCO's 17 joints.

    Raises:
        ModelError: the file is not a checkpoint, contains more than a network, or contains a
            network for other keypoints.
        MissingDependency: openpifpaf is not installed.
    """
    openpifpaf = import_openpifpaf()
    import torch

    content = _unpickle(path)
    model = _pose_network(path, content)
    try:
        openpifpaf.network.model_migration.model_migration(model)
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, 3, _PROBE_SIDE_PX, _PROBE_SIDE_PX))
    except Exception as error:  # Layers that do not fit together raise all kinds of errors.
        raise ModelError(f"{path}: its network does not run: {_one_line(error)}") from error
    stride = int(model.head_metas[0].stride)
    return LoadedNetwork(model, checkpoint_sha256(path), stride, _training_long_edge(content))


def checkpoint_sha256(path: Path) -> str:
    """Return the SHA-256 of a checkpoint file, which identifies it in the log.

    Raises:
        ModelError: the file cannot be read.
    """
    return file_sha256(path, ModelError)


def _unpickle(path: Path) -> Any:
    """Read a checkpoint with torch's restricted unpickler, which allows only listed classes."""
    import torch

    try:
        with (
            torch.serialization.safe_globals(network_classes()),
            # torch warns of unusual pickles. They load or they are refused; both are handled.
            warnings.catch_warnings(action="ignore"),
        ):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # The unpickler raises nearly anything for broken files.
        if content_kind(path)[0] not in ("", "a pickle file", "a PyTorch checkpoint"):
            raise ModelError(not_a(path, "an openpifpaf checkpoint")) from error
        raise ModelError(
            f"{path}: not an openpifpaf checkpoint, or truncated, or it contains more than a "
            f"network ({_one_line(error)})"
        ) from error


def _pose_network(path: Path, content: Any) -> Any:
    """Return the network in a checkpoint's content, after checking that it detects people."""
    openpifpaf = import_openpifpaf()
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, openpifpaf.network.nets.Shell):
        raise ModelError(f"{path}: does not contain an openpifpaf network")
    metas = getattr(model, "head_metas", None) or []
    kinds = [type(meta).__name__ for meta in metas]
    if kinds[:2] != ["Cif", "Caf"]:
        heads = ", ".join(kinds) or "missing"
        raise ModelError(f"{path}: the network's heads must be Cif and Caf, but are {heads}")
    names = tuple(str(name).replace("_", " ") for name in metas[0].keypoints)
    if names != COCO_NAMES:
        raise ModelError(f"{path}: the network's {len(names)} keypoints are not COCO's 17 joints")
    return model


def _training_long_edge(content: dict[str, Any]) -> int | None:
    """Return the long edge of the training images in pixels, or None if it is not recorded.

    `examples/figure_detector/train_detector.py` records it; openpifpaf's own checkpoints do not.
    """
    meta = content.get("meta")
    value = meta.get("long_edge") if isinstance(meta, dict) else None
    return value if isinstance(value, int) and 64 <= value <= 4096 else None


def network_classes() -> list[Any]:
    """List the classes and functions that a checkpoint may contain.

    These are the parts of pose networks; their constructors build layers and do nothing else.
    """
    import numpy as np
    import torch
    import torchvision
    from openpifpaf import headmeta
    from openpifpaf.network import basenetworks, heads, nets, tracking_base, tracking_heads

    sources = [nets, basenetworks, heads, tracking_base, tracking_heads]
    models = torchvision.models
    sources += [models.resnet, models.mobilenetv2, models.mobilenetv3, models.shufflenetv2]
    sources += [models.squeezenet, torchvision.ops.misc, torch.nn.modules]
    allowed: list[Any] = [
        value
        for source in sources
        for value in vars(source).values()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module)
    ]
    allowed += [
        value
        for value in vars(headmeta).values()
        if inspect.isclass(value) and issubclass(value, headmeta.Base)
    ]
    allowed += [np.ndarray, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    reconstruct, scalar = np._core.multiarray._reconstruct, np._core.multiarray.scalar  # type: ignore[attr-defined]
    # The published files call both by the names that they had before NumPy 2.
    return [
        *allowed,
        reconstruct,
        scalar,
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"),
    ]


def _one_line(error: Exception) -> str:
    """Return the error's type and the first line of its message, at most 160 characters."""
    first_line = str(error).strip().splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first_line}"[:160].rstrip(": ")
