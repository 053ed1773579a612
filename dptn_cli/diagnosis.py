"""What this machine can do, every line measured now; for `dptn doctor`."""

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from dptn_cli import __version__
from dptn_cli.detect import DEFAULT_CHECKPOINT, install_commands
from dptn_cli.detect.checkpoint import PUBLISHED, import_openpifpaf
from dptn_cli.errors import DptnError
from dptn_cli.metrics.weights import INSTALL as INSTALL_METRICS
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.session import cuda_devices, runtime_version, try_provider
from dptn_cli.weight_files import WeightFile


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        works: whether it is there and works.
        found: what was seen.
        mend: the command or step that mends it; empty where nothing is to be done.
    """

    name: str
    works: bool
    found: str
    mend: str = ""


def examine() -> list[Fact]:
    """Look at everything; takes some seconds where torch is installed."""
    return [*_basics(), *_providers(), *_torch(), *_pose(), *_metrics()]


def _basics() -> Iterator[Fact]:
    yield Fact("dptn", True, f"{__version__}, Python {platform.python_version()}")
    devices = cuda_devices()
    yield Fact("NVIDIA GPU", bool(devices), f"{devices} with a working driver")


def _providers() -> Iterator[Fact]:
    mend = "pip install 'onnxruntime-gpu[cuda,cudnn]'" if cuda_devices() else ""
    for name in ("cpu", "cuda", "tensorrt"):
        problem = try_provider(name)
        found = problem or f"a session runs, onnxruntime {runtime_version()}"
        yield Fact(f"--provider {name}", not problem, found, mend if problem else "")


def _torch() -> Iterator[Fact]:
    version = _version("torch")
    if version is None:
        yield Fact(
            "torch", False, "not installed; export and training need it",
            "pip install 'dptn-cli[export,train]'",
        )  # fmt: skip
        return
    yield Fact("torch", True, version)


def _pose() -> Iterator[Fact]:
    try:
        import_openpifpaf()
        yield Fact("openpifpaf", True, _version("openpifpaf") or "")
    except DptnError:
        yield Fact(
            "openpifpaf", False, "cannot be imported; detect-poses needs it",
            " && ".join(install_commands()),
        )  # fmt: skip
    weights = PUBLISHED[DEFAULT_CHECKPOINT]
    yield _weights(f"checkpoint {DEFAULT_CHECKPOINT}", weights, "dptn detect-poses")


def _metrics() -> Iterator[Fact]:
    for needs in NETWORKS.values():
        missing = [name for name in needs.packages if importlib.util.find_spec(name) is None]
        if missing:
            yield Fact(needs.title, False, f"not installed: {', '.join(missing)}", INSTALL_METRICS)
        else:
            yield _weights(needs.title, needs.weights, "dptn evaluate")


def _weights(name: str, weights: WeightFile, command: str) -> Fact:
    if weights.path.is_file():
        return Fact(name, True, str(weights.path))
    return Fact(
        name, False, f"{weights.path} is missing",
        f"add --download-weights to {command}, or fetch {weights.url}",
    )  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
