"""The checks of `dptn doctor`: what works on this machine, and how to fix what does not.

Everything is checked when `examine` is called; nothing is taken from an earlier run.
"""

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from dptn_cli import __version__
from dptn_cli.detect import MovenetDetector, install_commands
from dptn_cli.detect.openpifpaf_checkpoint import DEFAULT_CHECKPOINT, PUBLISHED
from dptn_cli.detect.openpifpaf_package import import_openpifpaf
from dptn_cli.enums import Provider
from dptn_cli.errors import DptnError
from dptn_cli.inference.openvino_model import (
    INSTALL_OPENVINO,
    has_bf16,
    openvino_problem,
    openvino_version,
)
from dptn_cli.inference.providers import INSTALL_GPU_LIBRARIES, cuda_device_count, try_provider
from dptn_cli.inference.session import onnxruntime_version
from dptn_cli.io.weights import VGG19, WeightFile
from dptn_cli.metrics.weights import INSTALL as INSTALL_METRICS
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.processor import available_cores, processor_abilities, processor_name

CORE = "Core"
GPU = "GPU"
EXPORT_AND_TRAINING = "Export and training"
POSE_DETECTION = "Pose detection"
EVALUATION = "Evaluation"
CLUSTER = "Cluster"
REMOTE_STORAGE = "Remote storage"

INFERENCE = "dptn transfer, dptn bench"
STORAGE_PACKAGES = {"s3fs": "s3://", "gcsfs": "gs://", "adlfs": "az://"}
METRICS = {
    "alex": "LPIPS in dptn evaluate",
    "vgg": "LPIPS (VGG) in dptn evaluate",
    "inception_published": "FID of the paper in dptn evaluate",
    "inception_tensorflow": "FID and KID in dptn evaluate",
}


@dataclass(frozen=True)
class Fact:
    """The result of one check.

    Attributes:
        section: heading that the fact is listed under.
        name: the package, file, device or option that was checked.
        needed_for: commands and options that depend on it.
        works: whether it is present and works.
        found: what the check found, such as a version or the reason why it does not work.
        fix: the command or step that fixes it; empty if there is nothing to fix.
    """

    section: str
    name: str
    needed_for: str
    works: bool
    found: str
    fix: str = ""


def examine() -> list[Fact]:
    """Run all checks; this takes a few seconds if torch is installed.

    Returns:
        The facts, ordered by section.
    """
    checks = (
        _check_core,
        _check_gpu,
        _check_export_and_training,
        _check_pose_detection,
        _check_evaluation,
        _check_cluster,
        _check_remote_storage,
    )
    return [fact for check in checks for fact in check()]


def _check_core() -> Iterator[Fact]:
    versions = f"{__version__}, Python {platform.python_version()}"
    yield Fact(CORE, "dptn", "every command", True, versions)
    abilities = ", ".join(processor_abilities()) or "abilities unknown"
    found = f"{processor_name()}, {available_cores()} cores: {abilities}"
    yield Fact(CORE, "processor", INFERENCE, True, found)
    yield _check_provider(CORE, Provider.CPU)
    yield _check_openvino()
    yield _check_package(CORE, "pillow-heif", "HEIC images", "pip install 'dptn-cli[heic]'")


def _check_openvino() -> Fact:
    name, problem = f"--provider {Provider.OPENVINO}", openvino_problem()
    if problem:
        return Fact(CORE, name, INFERENCE, False, problem, INSTALL_OPENVINO)
    arithmetic = "fp32 and bf16" if has_bf16() else "fp32, no bf16 on this processor"
    found = f"a session runs, OpenVINO {openvino_version()}: {arithmetic}"
    return Fact(CORE, name, INFERENCE, True, found)


def _check_gpu() -> Iterator[Fact]:
    devices = cuda_device_count()
    found = f"{devices or 'none'} with a working driver"
    yield Fact(GPU, "NVIDIA GPU", "--provider cuda, --provider tensorrt", bool(devices), found)
    fix = INSTALL_GPU_LIBRARIES if devices else ""  # without a GPU, installing them is no help
    for provider in (Provider.CUDA, Provider.TENSORRT):
        yield _check_provider(GPU, provider, fix)


def _check_provider(section: str, provider: Provider, fix: str = "") -> Fact:
    problem = try_provider(provider)
    found = problem or f"a session runs, onnxruntime {onnxruntime_version()}"
    name = f"--provider {provider}"
    return Fact(section, name, INFERENCE, not problem, found, fix if problem else "")


def _check_export_and_training() -> Iterator[Fact]:
    section, fix = EXPORT_AND_TRAINING, "pip install 'dptn-cli[export,train]'"
    yield _check_package(section, "torch", "dptn export, dptn train", fix)
    for name in ("onnx", "onnxscript"):
        yield _check_package(section, name, "dptn export", "pip install 'dptn-cli[export]'")
    for name in ("torchvision", "accelerate", "tensorboard"):
        yield _check_package(section, name, "dptn train", "pip install 'dptn-cli[train]'")
    # dptn train has no --download-weights: it downloads the file without being asked.
    fix = "let dptn train download it, train with --no-perceptual"
    yield _check_weights(section, "VGG-19", "dptn train", VGG19, fix)


def _check_pose_detection() -> Iterator[Fact]:
    section = POSE_DETECTION
    yield _check_movenet(section, "dptn detect-poses, dptn transfer")
    name, needed_for = "openpifpaf", "dptn detect-poses, transfer --detector"
    try:
        import_openpifpaf()
        yield Fact(section, name, needed_for, True, _version(name) or "")
    except DptnError:
        fix = " && ".join(install_commands())
        yield Fact(section, name, needed_for, False, "cannot be imported", fix)
    yield _check_weights(
        section,
        f"checkpoint {DEFAULT_CHECKPOINT}",
        needed_for,
        PUBLISHED[DEFAULT_CHECKPOINT],
        "add --download-weights to dptn detect-poses",
    )


def _check_movenet(section: str, needed_for: str) -> Fact:
    name = "MoveNet (built in)"
    try:
        detector = MovenetDetector()
    except DptnError as error:
        return Fact(section, name, needed_for, False, str(error), "install dptn-cli again")
    return Fact(section, name, needed_for, True, f"runs on {detector.device}")


def _check_evaluation() -> Iterator[Fact]:
    yield _check_package(EVALUATION, "scikit-image", "dptn evaluate, dptn train", INSTALL_METRICS)
    for network, needs in NETWORKS.items():
        needed_for = METRICS[network]
        missing = [name for name in needs.packages if importlib.util.find_spec(name) is None]
        if missing:
            found = f"not installed: {', '.join(missing)}"
            yield Fact(EVALUATION, needs.title, needed_for, False, found, INSTALL_METRICS)
        else:
            fix = "add --download-weights to dptn evaluate"
            yield _check_weights(EVALUATION, needs.title, needed_for, needs.weights, fix)


def _check_cluster() -> Iterator[Fact]:
    yield _check_package(CLUSTER, "ray", "dptn transfer --ray", "pip install 'dptn-cli[ray]'")


def _check_remote_storage() -> Iterator[Fact]:
    for name in ("fsspec", "universal-pathlib"):
        fix = "pip install 'dptn-cli[remote]'"
        yield _check_package(REMOTE_STORAGE, name, "URLs in dptn transfer", fix)
    for name, scheme in STORAGE_PACKAGES.items():
        needed_for = f"{scheme} URLs in dptn transfer"
        yield _check_package(REMOTE_STORAGE, name, needed_for, f"pip install {name}")


def _check_package(section: str, name: str, needed_for: str, fix: str) -> Fact:
    version = _version(name)
    if version is None:
        return Fact(section, name, needed_for, False, "not installed", fix)
    return Fact(section, name, needed_for, True, version)


def _check_weights(section: str, name: str, needed_for: str, weights: WeightFile, fix: str) -> Fact:
    if weights.path.is_file():
        return Fact(section, name, needed_for, True, str(weights.path))
    found = f"{weights.path} is missing"
    return Fact(section, name, needed_for, False, found, f"{fix}, or download {weights.url}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
