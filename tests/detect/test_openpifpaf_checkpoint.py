"""Checkpoints are found by name or path, and code in them never runs."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from detectors import MODELS, fresh_network, save_network

from dptn_cli.detect import install_commands
from dptn_cli.detect.openpifpaf_checkpoint import (
    PUBLISHED,
    Checkpoint,
    find_checkpoint,
    load_network,
)
from dptn_cli.detect.openpifpaf_package import import_openpifpaf
from dptn_cli.errors import InputError, MissingDependency, ModelError
from dptn_cli.io.weights import WeightFile, hub_folder


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_the_shipped_detector_needs_no_plugin() -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from dptn_cli.detect.openpifpaf_checkpoint import load_network;"
        f"print(load_network(Path({str(MODELS / 'figures-pose.pkl')!r})).stride);"
        "assert not [m for m in sys.modules if m.startswith('openpifpaf_')]"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "8\n"


def test_the_shipped_detector_does_not_reveal_where_it_was_trained() -> None:
    import_openpifpaf()
    content = torch.load(MODELS / "figures-pose.pkl", weights_only=False)
    assert content["meta"] == {"long_edge": 257}


def test_a_published_architecture_is_accepted(fresh_checkpoint: Path) -> None:
    network = load_network(fresh_checkpoint)
    assert network.stride == 16
    assert len(network.sha256) == 64


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare pickle", "in a checkpoint"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, wrapped: bool) -> None:
    path, marker = tmp_path / "evil.pkl", tmp_path / "it_ran"
    if wrapped:
        torch.save({"model": Hostile(marker), "epoch": 1}, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(marker)))
    with pytest.raises(ModelError, match="not an openpifpaf checkpoint") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    torch.load(path, weights_only=False) if wrapped else pickle.loads(path.read_bytes())
    assert marker.exists(), "the file would have run its code without the guard"


def test_code_inside_a_network_does_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "evil.pkl", tmp_path / "it_ran"
    model = fresh_network()
    model.process_input = Hostile(marker)
    torch.save({"model": model, "epoch": 1}, path)
    with pytest.raises(ModelError, match="contains more than a network"):
        load_network(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": torch.nn.Linear(2, 2)}, "does not contain an openpifpaf network"),
        ({"weights": torch.zeros(3)}, "does not contain an openpifpaf network"),
        ([1, 2], "does not contain an openpifpaf network"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "other.pkl"
    torch.save(content, path)
    with pytest.raises(ModelError, match=message):
        load_network(path)


@pytest.mark.parametrize("data", [b"", b"no pickle at all", b"PK\x03\x04 torn"])
def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.pkl").write_bytes(data)
    with pytest.raises(ModelError, match=r"broken\.pkl: .*not an openpifpaf checkpoint"):
        load_network(tmp_path / "broken.pkl")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    content = (MODELS / "figures-pose.pkl").read_bytes()
    (tmp_path / "torn.pkl").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="truncated"):
        load_network(tmp_path / "torn.pkl")


def test_a_network_with_parts_that_do_not_fit_is_refused(tmp_path: Path) -> None:
    model = fresh_network()
    model.base_net = torch.nn.Conv2d(5, 5, 1)
    model.base_net.stride = 16
    with pytest.raises(ModelError, match="does not run"):
        load_network(save_network(model, tmp_path / "odd.pkl"))


def test_a_network_for_other_points_is_refused(tmp_path: Path) -> None:
    model = fresh_network()
    model.head_nets[0].meta.keypoints = ["wheel"] * 17
    with pytest.raises(ModelError, match="not COCO's 17 joints"):
        load_network(save_network(model, tmp_path / "cars.pkl"))


def test_names_are_looked_up_in_torch_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    checkpoint = find_checkpoint("shufflenetv2k30")
    path = checkpoint.path
    assert checkpoint.missing_weights == PUBLISHED["shufflenetv2k30"]
    assert path.parent == hub_folder()
    with pytest.raises(InputError, match="--detector shufflenetv2k30: .* are missing: put the"):
        checkpoint.require()
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_checkpoint("shufflenetv2k30").require() == path
    assert find_checkpoint(str(path)).require() == path
    with pytest.raises(InputError, match="shufflenetv2k31: no such file, and not a published"):
        find_checkpoint("shufflenetv2k31")


def test_a_missing_checkpoint_is_downloaded_only_if_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    content = b"a network"
    (tmp_path / "served.pkl").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    weights = WeightFile(f"net-{digest[:8]}.pkl", (tmp_path / "served.pkl").as_uri())
    checkpoint = Checkpoint("--detector net", weights.path, weights)
    with pytest.raises(InputError, match="--detector net: .* add --download-weights"):
        checkpoint.require()
    messages: list[str] = []
    path = checkpoint.require(download_weights=True, announce=messages.append)
    assert path.read_bytes() == content
    assert messages == [f"Downloading {weights.url}"]


def test_the_published_names_are_openpifpafs() -> None:
    urls = import_openpifpaf().CHECKPOINT_URLS
    for name, weights in PUBLISHED.items():
        assert urls[name] == weights.url.replace("https", "http")
        assert weights.sha256_start in weights.url


def test_the_error_for_a_missing_openpifpaf_has_the_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    with pytest.raises(MissingDependency) as caught:
        import_openpifpaf()
    assert all(command in str(caught.value) for command in install_commands())
    assert "openpifpaf==0.13.11" in str(caught.value)


def test_readme_and_makefile_install_it_alike() -> None:
    """The commands are written in three places, which must agree."""
    root = Path(__file__).parents[2]
    _, second = install_commands()
    assert f"\n{second}\n" in (root / "docs" / "getting-started.md").read_text()
    made = (root / "Makefile").read_text().replace("\\\n", " ").split()
    options = second.removeprefix("pip install ").split()
    at = made.index(options[0])
    assert made[at : at + len(options)] == options
