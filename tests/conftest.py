"""Models and data that many tests share."""

import hashlib
import shutil
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from detectors import fresh_network, save_network
from hypothesis import HealthCheck, settings
from seeded_weights import official_state_dict
from support import (
    DATA,
    ROOT,
    TINY_SPEC,
    Folder,
    Golden,
    build_library,
    dptn,
    make_folder,
    tiny_generator,
)
from training import draw_data

from dptn_cli.export.onnx import export
from dptn_cli.network.checkpoint import LoadedGenerator, load_generator, save_generator
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.network.generator import Generator

# No clock decides whether a test passes: a busy machine is not a defect.
settings.register_profile("dptn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dptn")

# Commands inherit ignored signals. A shell ignores SIGINT in what it starts in the background, and
# `nohup` SIGHUP; the tests send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# An exported model depends on the contents of these, and on the versions of these packages.
EXPORT_SOURCES = (
    "dptn_cli/__init__.py",
    "dptn_cli/enums.py",
    "dptn_cli/types.py",
    "dptn_cli/export",
    "dptn_cli/inference/model_file.py",
    "dptn_cli/io/files.py",
    "dptn_cli/network",
    "tests/conftest.py",
    "tests/data/dptn_generator_keys.json",
    "tests/data/seeded_weights.py",
    "tests/support.py",
)
EXPORT_PACKAGES = ("torch", "numpy", "onnx", "onnxscript", "onnxruntime")

ExportOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def golden() -> Golden:
    with np.load(DATA / "golden_fashion.npz") as file:
        return Golden({name: file[name] for name in file.files})


@pytest.fixture(scope="session")
def official_tensors() -> dict[str, torch.Tensor]:
    state = official_state_dict(DATA / "dptn_generator_keys.json")
    return {name: torch.from_numpy(value) for name, value in state.items()}


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library for LD_PRELOAD that makes file system calls fail: see `faults.c`."""
    return build_library("faults", tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def official_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, official_tensors: dict[str, torch.Tensor]
) -> Path:
    """A checkpoint as the official training saves it on a GPU."""
    path = tmp_path_factory.mktemp("official") / "latest_net_G.pth"
    torch.save({f"module.{name}": tensor for name, tensor in official_tensors.items()}, path)
    return path


@pytest.fixture(scope="session")
def official_generator(official_checkpoint: Path) -> Generator:
    return load_generator(official_checkpoint).generator


def export_digest() -> str:
    """A digest of everything that an exported model depends on."""
    digest = hashlib.sha256()
    for package in EXPORT_PACKAGES:
        digest.update(f"{package} {import_module(package).__version__}\n".encode())
    for source in EXPORT_SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def export_once(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> ExportOnce:
    """Export a model, or take it from an earlier test run with the same code.

    Exports take most of the time that fixtures need. A fresh clone has none of them, so CI
    exports every model.
    """
    assert pytestconfig.cache
    cache = pytestconfig.cache.mkdir("exports")
    current = cache / export_digest()
    for outdated in set(cache.iterdir()) - {current}:
        shutil.rmtree(outdated)

    def export_model(name: str, export_to: Callable[[Path], None]) -> Path:
        kept = current / name
        if not (kept / f"{name}.onnx").exists():
            export_to(kept / f"{name}.onnx")
        # A copy, so that no test can spoil the model for later runs.
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        return folder / f"{name}.onnx"

    return export_model


@pytest.fixture(scope="session")
def fashion_model(export_once: ExportOnce, official_checkpoint: Path) -> Path:
    """The official stand-in checkpoint, exported through the command line."""

    def export_to(path: Path) -> None:
        result = dptn("export", official_checkpoint, "-o", path, "--dataset", "fashion")
        assert result.exit_code == 0, result.stderr

    return export_once("fashion", export_to)


@pytest.fixture(scope="session")
def market_model(export_once: ExportOnce, official_checkpoint: Path) -> Path:
    def export_to(path: Path) -> None:
        export(load_generator(official_checkpoint), IMAGE_SPECS["market"], path)

    return export_once("market", export_to)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "generator-last.pth"
    save_generator(path, tiny_generator(), TINY_SPEC)
    return path


@pytest.fixture(scope="session")
def tiny_model(export_once: ExportOnce) -> Path:
    def export_to(path: Path) -> None:
        export(LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64), TINY_SPEC, path)

    return export_once("tiny", export_to)


@pytest.fixture(scope="session")
def other_tiny_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with other weights: halved, which takes no second export."""
    model = onnx.load(tiny_model)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            halved = onnx.numpy_helper.to_array(tensor) / 2
            tensor.CopyFrom(onnx.numpy_helper.from_array(halved, tensor.name))
    path = tmp_path_factory.mktemp("other-tiny") / "tiny.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Folder:
    return make_folder(tmp_path / "photos", tiny_model)


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training data: two people in three images each, twelve pairs; one more to test on."""
    return draw_data(tmp_path_factory.mktemp("figures"))


@pytest.fixture(scope="session")
def fresh_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published architecture of openpifpaf's with random weights: it finds nobody."""
    return save_network(fresh_network(), tmp_path_factory.mktemp("fresh") / "fresh.pkl")


@pytest.fixture(autouse=True)
def without_openvino(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `--provider auto` take onnxruntime, which opens models faster, in unmarked tests."""
    if not request.node.get_closest_marker("openvino"):
        for module in ("session", "trial"):
            name = f"dptn_cli.inference.{module}.is_openvino_installed"
            monkeypatch.setattr(name, lambda: False)
