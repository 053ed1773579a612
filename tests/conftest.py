"""Models and data that many tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectors import fresh_network, save_network
from seeded_weights import official_state_dict
from support import DATA, TINY_SPEC, Folder, Golden, dptn, make_folder, tiny_generator
from training import draw_data

from dptn_cli.export.onnx import export
from dptn_cli.network.checkpoint import LoadedGenerator, load_generator, save_generator
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.network.generator import Generator


@pytest.fixture(scope="session")
def golden() -> Golden:
    with np.load(DATA / "golden_fashion.npz") as file:
        return Golden({name: file[name] for name in file.files})


@pytest.fixture(scope="session")
def official_tensors() -> dict[str, torch.Tensor]:
    state = official_state_dict(DATA / "dptn_generator_keys.json")
    return {name: torch.from_numpy(value) for name, value in state.items()}


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


@pytest.fixture(scope="session")
def fashion_model(tmp_path_factory: pytest.TempPathFactory, official_checkpoint: Path) -> Path:
    """The official stand-in checkpoint, exported through the command line."""
    path = tmp_path_factory.mktemp("fashion") / "fashion.onnx"
    result = dptn("export", official_checkpoint, "-o", path, "--dataset", "fashion")
    assert result.exit_code == 0, result.stderr
    return path


@pytest.fixture(scope="session")
def market_model(tmp_path_factory: pytest.TempPathFactory, official_checkpoint: Path) -> Path:
    path = tmp_path_factory.mktemp("market") / "market.onnx"
    export(load_generator(official_checkpoint), IMAGE_SPECS["market"], path)
    return path


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "generator-last.pth"
    save_generator(path, tiny_generator(), TINY_SPEC)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    export(LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64), TINY_SPEC, path)
    return path


@pytest.fixture(scope="session")
def other_tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with other weights."""
    path = tmp_path_factory.mktemp("other") / "tiny.onnx"
    export(LoadedGenerator(tiny_generator(1), TINY_SPEC, "1" * 64), TINY_SPEC, path)
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
