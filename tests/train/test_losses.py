"""The losses, compared with values of the official code."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from seeded_weights import _uniform, official_state_dict, seeded_tensor
from support import DATA

from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.torchvision_compat import import_torchvision
from dptn_cli.train.losses import (
    Branches,
    Vgg19,
    branch_terms,
    discriminator_loss,
    generator_loss,
    gram,
    lsgan,
)
from dptn_cli.train.recipe import PUBLISHED_DISCRIMINATOR_LAYERS, PUBLISHED_WEIGHTS, LossWeights

SHAPE = (2, 3, 64, 48)
DATASETS = ("fashion", "market")


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    losses: dict[str, Any] = json.loads((DATA / "golden_losses.json").read_text())
    return losses


def image(name: str) -> torch.Tensor:
    values = _uniform(name, int(np.prod(SHAPE)), 0).reshape(SHAPE)
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module")
def truth() -> Branches:
    return Branches(image("target"), image("source"))


@pytest.fixture(scope="module")
def generated() -> Branches:
    return Branches(image("fake_target"), image("fake_source"))


@pytest.fixture(scope="module")
def vgg() -> Vgg19:
    with torch.device("meta"):
        network = import_torchvision().models.vgg19(weights=None)
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items() if k.startswith("feat")}
    tensors = {name: torch.from_numpy(seeded_tensor(name, s)) for name, s in shapes.items()}
    layers = network.features
    layers.load_state_dict(
        {k.removeprefix("features."): v for k, v in tensors.items()}, assign=True
    )
    return Vgg19(layers)


@pytest.fixture(scope="module")
def terms(generated: Branches, truth: Branches, vgg: Vgg19) -> Mapping[str, torch.Tensor]:
    return branch_terms(generated, truth, vgg)


def published_discriminator(dataset: str, truth: Branches) -> Discriminator:
    """Return the golden file's: 50 power iterations from the stored vectors, then evaluation."""
    discriminator = Discriminator(PUBLISHED_DISCRIMINATOR_LAYERS[dataset])
    state = official_state_dict(DATA / f"dptn_discriminator_keys_{dataset}.json")
    discriminator.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    discriminator.float().train()
    with torch.no_grad():
        for _ in range(50):
            discriminator(truth.target)
    return discriminator.eval()


@pytest.mark.parametrize("branch", ["target", "source"])
@pytest.mark.parametrize("kind", ["l1", "content", "style"])
def test_a_branchs_term(
    terms: Mapping[str, torch.Tensor], published: dict[str, Any], branch: str, kind: str
) -> None:
    assert terms[f"{branch}_{kind}"].item() == pytest.approx(published[branch][kind], rel=1e-4)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_discriminators_terms(
    dataset: str,
    terms: Mapping[str, torch.Tensor],
    generated: Branches,
    truth: Branches,
    published: dict[str, Any],
) -> None:
    golden = published[dataset]
    discriminator = published_discriminator(dataset, truth)
    real, fake = discriminator(truth.target), discriminator(generated.target)
    assert list(real.shape) == golden["d_shape"]
    assert real.mean().item() == pytest.approx(golden["d_real_mean"], rel=1e-4)
    assert fake.mean().item() == pytest.approx(golden["d_fake_mean"], rel=1e-4)
    loss = discriminator_loss(discriminator, truth.target, generated.target)
    assert loss.item() == pytest.approx(golden["d_loss"], rel=1e-4)
    adversarial = lsgan(fake, True)
    assert adversarial.item() == pytest.approx(golden["g_adv"], rel=1e-4)
    total = generator_loss({**terms, "adversarial": adversarial}, PUBLISHED_WEIGHTS[dataset])
    assert total.item() == pytest.approx(golden["g_total"], rel=1e-4)


def test_gradients_reach_the_generated_images_and_not_the_truth(
    vgg: Vgg19, generated: Branches, truth: Branches
) -> None:
    images = Branches(*(x.clone().requires_grad_() for x in generated))
    expected = Branches(*(x.clone().requires_grad_() for x in truth))
    for name, term in branch_terms(images, expected, vgg).items():
        image = images.target if name.startswith("target") else images.source
        if not name.endswith("l1"):
            (gradient,) = torch.autograd.grad(term, image, retain_graph=True)
            assert gradient.abs().max() > 0, name
            to_truth = torch.autograd.grad(term, expected, retain_graph=True, allow_unused=True)
            assert all(gradient is None for gradient in to_truth)


def test_gram_is_per_sample_and_normalised() -> None:
    features = torch.ones(2, 3, 4, 5)
    features[1] *= 2
    matrices = gram(features)
    assert torch.allclose(matrices[0], torch.full((3, 3), 1 / 3))
    assert torch.allclose(matrices[1], torch.full((3, 3), 4 / 3))


@pytest.mark.parametrize(
    "wrong", [{"style": -1.0}, {"target_share": 1.5}, {"content": float("nan")}]
)
def test_weights_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(Exception, match=r"not negative|must not be over 1"):
        LossWeights(**wrong)
