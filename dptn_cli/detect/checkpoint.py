"""Trained networks of openpifpaf: by name or path, and read without running their code.

A checkpoint is a pickle of whole modules. Only classes that a pose network is made of are let
in; anything else in the file makes it refused before it runs. openpifpaf itself would unpickle
a named checkpoint without that guard, so names are looked up here.
"""

import hashlib
import importlib.util
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dptn_cli.errors import InputError, MissingDependency, ModelError
from dptn_cli.io.weights import WeightFile
from dptn_cli.keypoints import COCO_NAMES
from dptn_cli.network.torchvision_compat import import_torchvision

# openpifpaf's own documentation calls shufflenetv2k30 its more accurate network beside the
# fast shufflenetv2k16; a pose is detected once and used many times.
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
VERSION = "0.13.11"
_TRIED_SIDE = 65  # pixels of the image that a network is tried on


@dataclass(frozen=True)
class LoadedNetwork:
    """A pose network as a checkpoint holds it.

    Attributes:
        model: openpifpaf's Shell, in evaluation mode, on the CPU.
        sha256: of the file.
        stride: pixels of a cell of its fields.
        long_edge: of the images that it was trained on, where the checkpoint tells it.
    """

    model: Any
    sha256: str
    stride: int
    long_edge: int | None = None


def install_commands() -> tuple[str, ...]:
    """What installs openpifpaf, which cannot be had in one step: it pins an old torch."""
    return (
        "pip install 'dptn-cli[pose]' setuptools wheel",
        f"pip install --no-build-isolation --no-deps --no-cache-dir openpifpaf=={VERSION}",
    )


def import_openpifpaf() -> Any:
    """openpifpaf, with torchvision made ready for it.

    Raises:
        MissingDependency: it, or something that it needs, is not installed.
    """
    try:
        import_torchvision()
        import openpifpaf
    except ImportError as error:
        commands = " && ".join(install_commands())
        raise MissingDependency("pose detection", error.name or "openpifpaf", commands) from error
    return openpifpaf


def is_installed() -> bool:
    """Whether openpifpaf is there, without importing it."""
    return importlib.util.find_spec("openpifpaf") is not None


def find_checkpoint(checkpoint: str, option: str = "--checkpoint") -> Path | WeightFile:
    """A checkpoint by path, or by the name of a published one.

    Args:
        checkpoint: as the user gave it.
        option: where.

    Returns:
        Its path; or, where a published file is not in torch.hub's cache, what to fetch.

    Raises:
        InputError: neither a file nor a known name.
    """
    if checkpoint in PUBLISHED:
        weights = PUBLISHED[checkpoint]
        return weights.path if weights.path.is_file() else weights
    path = Path(checkpoint)
    if path.is_file():
        return path
    raise InputError(
        f"{option} {checkpoint}: no such file, and not one of the published {', '.join(PUBLISHED)}"
    )


def load_network(path: Path) -> LoadedNetwork:
    """Read a checkpoint, and make sure that it finds COCO's 17 joints.

    Raises:
        ModelError: not a checkpoint, one that holds more than a network, or another network.
        MissingDependency: openpifpaf is not installed.
    """
    openpifpaf = import_openpifpaf()
    import torch

    content = _read(path)
    model = _checked(path, content)
    try:
        openpifpaf.network.model_migration.model_migration(model)
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, 3, _TRIED_SIDE, _TRIED_SIDE))
    except Exception as error:  # A file from strangers can hold modules that do not fit.
        raise ModelError(f"{path}: its network does not run: {_one_line(error)}") from error
    stride = int(model.head_metas[0].stride)
    return LoadedNetwork(model, file_sha256(path), stride, _long_edge(content))


def file_sha256(path: Path) -> str:
    """The digest that stands for a checkpoint.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error


def _read(path: Path) -> Any:
    """The unpickled file, through torch's guarded unpickler."""
    import torch

    try:
        with (
            torch.serialization.safe_globals(network_classes()),
            warnings.catch_warnings(action="ignore"),  # of odd pickles: they are refused or not
        ):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # The unpickler raises nearly anything at broken files.
        raise ModelError(
            f"{path}: not an openpifpaf checkpoint, truncated, or with more in it than a network "
            f"({_one_line(error)})"
        ) from error


def _long_edge(content: dict[str, Any]) -> int | None:
    """What `train_detector.py` writes into a checkpoint's meta; openpifpaf's own have none."""
    meta = content.get("meta")
    value = meta.get("long_edge") if isinstance(meta, dict) else None
    return value if isinstance(value, int) and 64 <= value <= 4096 else None


def _checked(path: Path, content: Any) -> Any:
    """The checkpoint's network, known to be one for people's joints."""
    openpifpaf = import_openpifpaf()
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, openpifpaf.network.nets.Shell):
        raise ModelError(f"{path}: no network of openpifpaf's in it")
    metas = getattr(model, "head_metas", None) or []
    kinds = [type(meta).__name__ for meta in metas]
    if kinds[:2] != ["Cif", "Caf"]:
        raise ModelError(f"{path}: its heads are {kinds}, and Cif with Caf is needed")
    names = tuple(str(name).replace("_", " ") for name in metas[0].keypoints)
    if names != COCO_NAMES:
        raise ModelError(f"{path}: it finds {len(names)} points that are not COCO's 17 joints")
    return model


def network_classes() -> list[Any]:
    """What may stand in a checkpoint: the classes that pose networks are made of.

    Their constructors build layers and do nothing else.
    """
    return list(_allowed())


def _allowed() -> Iterator[Any]:
    import numpy as np
    import torch
    import torchvision
    from openpifpaf import headmeta
    from openpifpaf.network import basenetworks, heads, nets, tracking_base, tracking_heads

    homes = [nets, basenetworks, heads, tracking_base, tracking_heads]
    models = torchvision.models
    homes += [models.resnet, models.mobilenetv2, models.mobilenetv3, models.shufflenetv2]
    homes += [models.squeezenet, torchvision.ops.misc, torch.nn.modules]
    for home in homes:
        yield from (value for value in vars(home).values() if _is_module(value))
    yield from (
        value
        for value in vars(headmeta).values()
        if inspect.isclass(value) and issubclass(value, headmeta.Base)
    )
    yield from (np.ndarray, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType)
    reconstruct, scalar = np._core.multiarray._reconstruct, np._core.multiarray.scalar  # type: ignore[attr-defined]
    yield from (reconstruct, scalar)
    # The names they had before NumPy 2, as in the published files.
    yield (reconstruct, "numpy.core.multiarray._reconstruct")
    yield (scalar, "numpy.core.multiarray.scalar")


def _is_module(value: object) -> bool:
    import torch

    return inspect.isclass(value) and issubclass(value, torch.nn.Module)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"[
        :160
    ].rstrip(": ")
