"""Checkpoints: found by name or path, and nothing in them ever runs."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from detectors import MODELS, fresh_network, save_network

from dptn_cli.detect import find_checkpoint, install_commands
from dptn_cli.detect.checkpoint import PUBLISHED, import_openpifpaf, load_network
from dptn_cli.errors import InputError, MissingDependency, ModelError
from dptn_cli.io.weights import WeightFile, hub_folder


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, verification: Path) -> None:
        self.verification = verification

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.verification}",)


def test_the_shipped_detector_needs_no_plugin() -> None:
    code = (
        "import sys; from pathlib import Path; from dptn_cli.detect.checkpoint import load_network;"
        f"print(load_network(Path({str(MODELS / 'figures-pose.pkl')!r})).stride);"
        "assert not [m for m in sys.modules if m.startswith('openpifpaf_')]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "8\n"


def test_the_shipped_detector_tells_nothing_of_where_it_was_made() -> None:
    import_openpifpaf()
    content = torch.load(MODELS / "figures-pose.pkl", weights_only=False)
    assert content["meta"] == {"long_edge": 257}


def test_a_published_architecture_is_let_in(fresh_checkpoint: Path) -> None:
    network = load_network(fresh_checkpoint)
    assert network.stride == 16
    assert len(network.sha256) == 64


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare pickle", "in a checkpoint"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, wrapped: bool) -> None:
    path, verification = tmp_path / "evil.pkl", tmp_path / "it ran".replace(" ", "_")
    if wrapped:
        torch.save({"model": Hostile(verification), "epoch": 1}, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(verification)))
    with pytest.raises(ModelError, match="not an openpifpaf checkpoint") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert not verification.exists()
    torch.load(path, weights_only=False) if wrapped else pickle.loads(path.read_bytes())
    assert verification.exists(), "the file would have run its code without the guard"


def test_code_inside_a_network_does_not_run(tmp_path: Path) -> None:
    path, verification = tmp_path / "evil.pkl", tmp_path / "it_ran"
    model = fresh_network()
    model.process_input = Hostile(verification)
    torch.save({"model": model, "epoch": 1}, path)
    with pytest.raises(ModelError, match="more in it than a network"):
        load_network(path)
    assert not verification.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": torch.nn.Linear(2, 2)}, "no network of openpifpaf's"),
        ({"weights": torch.zeros(3)}, "no network of openpifpaf's"),
        ([1, 2], "no network of openpifpaf's"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "other.pkl"
    torch.save(content, path)
    with pytest.raises(ModelError, match=message):
        load_network(path)


@pytest.mark.parametrize("data", [b"", b"no pickle at all", b"PK\x03\x04 torn"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.pkl").write_bytes(data)
    with pytest.raises(ModelError, match=r"broken\.pkl: not an openpifpaf checkpoint"):
        load_network(tmp_path / "broken.pkl")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    whole = (MODELS / "figures-pose.pkl").read_bytes()
    (tmp_path / "torn.pkl").write_bytes(whole[: len(whole) // 2])
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
    missing = find_checkpoint("shufflenetv2k30")
    assert isinstance(missing, WeightFile)
    assert missing.path.parent == hub_folder()
    missing.path.parent.mkdir(parents=True)
    missing.path.touch()
    assert find_checkpoint("shufflenetv2k30") == missing.path
    assert find_checkpoint(str(missing.path)) == missing.path
    with pytest.raises(InputError, match="shufflenetv2k31: no such file, and not one of"):
        find_checkpoint("shufflenetv2k31")


def test_the_published_names_are_openpifpafs() -> None:
    urls = import_openpifpaf().CHECKPOINT_URLS
    for name, weights in PUBLISHED.items():
        assert urls[name] == weights.url.replace("https", "http")
        assert weights.sha256_start in weights.url


def test_a_missing_openpifpaf_is_told_with_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    with pytest.raises(MissingDependency) as caught:
        import_openpifpaf()
    assert all(command in str(caught.value) for command in install_commands())
    assert "openpifpaf==0.13.11" in str(caught.value)


def test_readme_and_makefile_install_it_alike() -> None:
    """What to type stands in three places, and all three must work."""
    root = Path(__file__).parents[2]
    _, second = install_commands()
    assert f"\n{second}\n" in (root / "docs" / "getting-started.md").read_text()
    made = (root / "Makefile").read_text().replace("\\\n", " ").split()
    options = second.removeprefix("pip install ").split()
    at = made.index(options[0])
    assert made[at : at + len(options)] == options
