"""LPIPS, both Inceptions and KID, compared with their packages, with stand-in weights."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_folders import MARKET, image, similar, stand_in_home
from evaluation_folders import with_weights as with_weights

from dptn_cli.errors import ModelError
from dptn_cli.metrics.devices import pick_device
from dptn_cli.metrics.fid import FeatureNetwork
from dptn_cli.metrics.inception import PublishedInception, load_inception
from dptn_cli.metrics.kid import kid
from dptn_cli.metrics.lpips import MIN_SIDE, Lpips
from dptn_cli.metrics.protocols import Undefined
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.network.torchvision_compat import import_torchvision

pytestmark = pytest.mark.usefixtures("with_weights")
TRUTH = np.stack([image(seed, MARKET) for seed in range(3)])
GENERATED = np.stack([similar(true, 4) for true in TRUTH])


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_lpips_agrees_with_the_lpips_package(network: str) -> None:
    import_torchvision()
    import lpips

    model = lpips.LPIPS(net=network, version="0.1", verbose=False)
    expected = [
        float(model(lpips.im2tensor(generated), lpips.im2tensor(true)))
        for generated, true in zip(GENERATED, TRUTH, strict=True)
    ]
    actual = Lpips(network, pick_device()).distances(GENERATED, TRUTH)
    assert actual == pytest.approx(expected, abs=1e-6)
    assert (actual > 0.001).all()


def test_lpips_of_one_pair_does_not_depend_on_its_batch() -> None:
    model = Lpips("alex", pick_device())
    together = model.distances(GENERATED, TRUTH)
    alone = [model.distances(GENERATED[i : i + 1], TRUTH[i : i + 1])[0] for i in range(3)]
    assert together == pytest.approx(alone, abs=1e-7)


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_lpips_works_down_to_its_minimum_side_and_refuses_smaller_images(network: str) -> None:
    model, side = Lpips(network, pick_device()), MIN_SIDE[network]
    fits = np.stack([image(1, (side, side))])
    assert math.isfinite(model.distances(fits, fits)[0])
    with pytest.raises(Undefined, match=f"{side} pixels"):
        model.distances(fits[:, 1:], fits[:, 1:])


def test_the_published_inception_is_torchvisions_with_the_published_input_range() -> None:
    """The images are resized and scaled by hand, and the network runs without `transform_input`."""
    models = import_torchvision().models
    path = NETWORKS["inception_published"].weights.path
    network: Any = models.inception_v3(weights=None, transform_input=False, init_weights=False)
    network.load_state_dict(torch.load(path, weights_only=True))
    network.fc = torch.nn.Identity()
    images = torch.from_numpy(TRUTH[:2]).permute(0, 3, 1, 2) / 255
    resized = torch.nn.functional.interpolate(images, size=(299, 299), mode="bilinear")
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.no_grad():
        expected = network.eval()(resized * (std / 0.5) + (mean - 0.5) / 0.5)
    actual = load_inception("inception_published", pick_device())(TRUTH[:2])
    assert actual.shape == (2, 2048)
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-4)


def test_the_tensorflow_inception_is_torch_fidelitys() -> None:
    import_torchvision()
    from torch_fidelity.utils import create_feature_extractor

    path = NETWORKS["inception_tensorflow"].weights.path
    extractor = create_feature_extractor(
        "inception-v3-compat",
        ["2048"],
        feature_extractor_weights_path=str(path),
        cuda=False,
        verbose=False,
    )
    with torch.no_grad():
        expected = extractor(torch.from_numpy(TRUTH[:2]).permute(0, 3, 1, 2))[0]
    actual = load_inception("inception_tensorflow", pick_device())(TRUTH[:2])
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-4)


def test_kid_is_torch_fidelitys_and_the_unbiased_estimate() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((12, 2048)).astype(np.float32)
    y = (random.standard_normal((12, 2048)) * 1.2 + 0.2).astype(np.float32)

    def kernel(a: Any, b: Any) -> Any:
        return (a.astype(float) @ b.astype(float).T / 2048 + 1) ** 3

    off = ~np.eye(12, dtype=bool)
    expected = kernel(x, x)[off].mean() + kernel(y, y)[off].mean() - 2 * kernel(x, y).mean()
    assert kid(x, y) == pytest.approx(expected, rel=1e-4)


def test_weights_that_are_something_else_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for network, needs in NETWORKS.items():
        needs.weights.path.parent.mkdir(parents=True, exist_ok=True)
        needs.weights.path.write_bytes(b"<html>not found</html>")
        with pytest.raises(ModelError, match=needs.weights.name):
            load(network)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_weights_that_hold_code_are_refused(
    network: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = NETWORKS[network].weights.path
    path.parent.mkdir(parents=True)
    trap = {"weight": Trap(str(tmp_path / "sprung"))}
    torch.save(trap, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=path.name):
        load(network)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("network", ["alex", "inception_published"])
def test_weights_that_give_no_numbers_are_refused(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = torch.load(NETWORKS[network].weights.path, weights_only=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = NETWORKS[network].weights.path
    path.parent.mkdir(parents=True)
    first = next(iter(stand_in))
    torch.save(stand_in | {first: torch.full_like(stand_in[first], math.nan)}, path)
    loaded = load(network)
    with pytest.raises(ModelError, match="not finite"):
        if isinstance(loaded, Lpips):
            loaded.distances(GENERATED[:1], TRUTH[:1])
        else:
            loaded(TRUTH[:1])


def load(network: str) -> Lpips | FeatureNetwork:
    if network in ("alex", "vgg"):
        return Lpips(network, pick_device())
    return load_inception(network, pick_device())


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_the_stand_ins_have_every_tensor_of_the_networks() -> None:
    state = torch.load(
        stand_in_home() / "hub" / "checkpoints" / "inception_v3_google-0cc3c7bd.pth",
        weights_only=True,
    )
    import_torchvision()
    assert sum(tensor.numel() for tensor in PublishedInception(state).parameters()) > 20_000_000
