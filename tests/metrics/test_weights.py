"""The folder of trained weights, and the checks on downloads."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_folders import without_weights as without_weights

from dptn_cli.errors import InputError
from dptn_cli.io.weights import WeightFile, download, hub_folder
from dptn_cli.metrics.weights import NETWORKS, missing_for


@pytest.mark.parametrize(
    "environment",
    [
        {"TORCH_HOME": "/a"},
        {"XDG_CACHE_HOME": "/b"},
        {"TORCH_HOME": "/a", "XDG_CACHE_HOME": "/b"},
        {},
    ],
)
def test_the_folder_is_torch_hubs(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(hub_folder()) == os.path.join(torch.hub.get_dir(), "checkpoints")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_missing_file_is_named_with_its_place_and_its_source(
    network: str, without_weights: Path
) -> None:
    message = missing_for(network)
    weights = NETWORKS[network].weights
    assert message is not None
    assert all(part in message for part in (weights.name, str(without_weights), weights.url))


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "lpips" else 1)
    assert missing_for("alex") == "lpips is not installed: pip install 'dptn-cli[metrics]'"


def served(folder: Path, content: bytes, digest: str) -> WeightFile:
    """A file behind a `file:` address, as good as a server's."""
    (folder / "served.pth").write_bytes(content)
    return WeightFile(f"net-{digest[:8]}.pth", (folder / "served.pth").as_uri())


def test_a_download_lands_in_the_cache(tmp_path: Path, without_weights: Path) -> None:
    content = b"weights" * 1000
    weights = served(tmp_path, content, hashlib.sha256(content).hexdigest())
    pieces: list[int] = []
    download(weights, pieces.append)
    assert (without_weights / weights.name).read_bytes() == content
    assert sum(pieces) == len(content)


def test_a_download_of_something_else_is_not_kept(tmp_path: Path, without_weights: Path) -> None:
    with pytest.raises(InputError, match="not the published file"):
        download(served(tmp_path, b"a login page", "0" * 64))
    assert list(without_weights.iterdir()) == []


def test_a_download_that_fails_says_where_the_file_belongs(
    tmp_path: Path, without_weights: Path
) -> None:
    with pytest.raises(InputError, match="cannot be downloaded") as caught:
        download(WeightFile("net-00000000.pth", (tmp_path / "nothing").as_uri()))
    assert str(without_weights) in str(caught.value)


def test_looking_for_weights_imports_no_torch() -> None:
    code = (
        "import sys; from dptn_cli.metrics.weights import missing_for; missing_for('alex'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
