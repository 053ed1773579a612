"""What this machine can do, every line measured now; for `dptn doctor`."""

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from dptn_cli import __version__
from dptn_cli.detect import DEFAULT_CHECKPOINT, install_commands
from dptn_cli.detect.checkpoint import PUBLISHED, import_openpifpaf
from dptn_cli.enums import Provider
from dptn_cli.errors import DptnError
from dptn_cli.inference.providers import cuda_device_count, try_provider
from dptn_cli.inference.session import onnxruntime_version
from dptn_cli.io.weights import VGG19, WeightFile
from dptn_cli.metrics.weights import INSTALL as INSTALL_METRICS
from dptn_cli.metrics.weights import NETWORKS

STORES = {"s3fs": "s3://", "gcsfs": "gs://", "adlfs": "az://"}


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
    parts = (_basics, _providers, _torch, _training, _pose, _metrics, _clusters, _stores)
    return [fact for part in parts for fact in part()]


def _basics() -> Iterator[Fact]:
    yield Fact("dptn", True, f"{__version__}, Python {platform.python_version()}")
    devices = cuda_device_count()
    yield Fact("NVIDIA GPU", bool(devices), f"{devices} with a working driver")


def _providers() -> Iterator[Fact]:
    mend = "pip install 'onnxruntime-gpu[cuda,cudnn]'" if cuda_device_count() else ""
    for name in (Provider.CPU, Provider.CUDA, Provider.TENSORRT):
        problem = try_provider(name)
        found = problem or f"a session runs, onnxruntime {onnxruntime_version()}"
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


def _training() -> Iterator[Fact]:
    yield _package("accelerate", "dptn train", "train")
    yield _weights("VGG-19", VGG19, "dptn train fetches it, and --no-perceptual goes without")


def _clusters() -> Iterator[Fact]:
    yield _package("ray", "dptn transfer --ray", "ray")


def _stores() -> Iterator[Fact]:
    yield _package("fsspec", "what lies behind a URL", "remote")
    yield _package("universal-pathlib", "what lies behind a URL", "remote")
    for name, url in STORES.items():
        version = _version(name)
        found = version or f"not installed; {url} URLs need it"
        yield Fact(name, version is not None, found, "" if version else f"pip install {name}")


def _package(name: str, user: str, extra: str) -> Fact:
    version = _version(name)
    if version is None:
        mend = f"pip install 'dptn-cli[{extra}]'"
        return Fact(name, False, f"not installed; {user} needs it", mend)
    return Fact(name, True, version)


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
    yield _weights(f"checkpoint {DEFAULT_CHECKPOINT}", weights, _download_by("dptn detect-poses"))


def _metrics() -> Iterator[Fact]:
    for needs in NETWORKS.values():
        missing = [name for name in needs.packages if importlib.util.find_spec(name) is None]
        if missing:
            yield Fact(needs.title, False, f"not installed: {', '.join(missing)}", INSTALL_METRICS)
        else:
            yield _weights(needs.title, needs.weights, _download_by("dptn evaluate"))


def _download_by(command: str) -> str:
    return f"add --download-weights to {command}"


def _weights(name: str, weights: WeightFile, what_to_do: str) -> Fact:
    if weights.path.is_file():
        return Fact(name, True, str(weights.path))
    mend = f"{what_to_do}, or fetch {weights.url}"
    return Fact(name, False, f"{weights.path} is missing", mend)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
