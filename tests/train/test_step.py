"""One training step: the right order and the right gradients."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import CONFIG, L1_ONLY, equal, plain_step

from dptn_cli.errors import ModelError
from dptn_cli.train.data import Draw, PairBatch, read_data
from dptn_cli.train.losses import Branches, branch_terms
from dptn_cli.train.recipe import LearningRates
from dptn_cli.train.step import GANStep, connect

RATES = LearningRates(2e-4, 2e-5)


@pytest.fixture(scope="module")
def sample(figures: Path) -> PairBatch:
    return read_data(figures, CONFIG.spec).train.batch([Draw(row) for row in range(4)])


@pytest.fixture
def gan() -> GANStep:
    return GANStep(CONFIG, connect("fp32"))


def snapshot(network: torch.nn.Module | None) -> dict[str, torch.Tensor]:
    assert network is not None
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_it_is_the_plain_step(gan: GANStep, sample: PairBatch) -> None:
    generator, discriminator = copy.deepcopy((gan.generator, gan.discriminator))
    assert discriminator is not None
    optimisers = tuple(
        torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999))
        for network, rate in zip((generator, discriminator), RATES, strict=True)
    )
    for _ in range(3):
        gan.step(sample, RATES, 1.0)
        plain_step(generator, discriminator, optimisers, sample, CONFIG.weights)  # type: ignore[arg-type]
    for own, plain in ((gan.generator, generator), (gan.discriminator, discriminator)):
        for name, value in snapshot(own).items():
            assert torch.allclose(value, plain.state_dict()[name], atol=1e-6), name


def test_the_discriminators_step_leaves_the_generator_alone(
    gan: GANStep, sample: PairBatch
) -> None:
    before = snapshot(gan.generator)
    discriminator = snapshot(gan.discriminator)
    gan.step(sample, LearningRates(0.0, 1e-3), 1.0)
    assert equal(snapshot(gan.generator), before)
    assert not equal(snapshot(gan.discriminator), discriminator)


def test_the_generators_step_leaves_the_discriminator_alone(
    gan: GANStep, sample: PairBatch
) -> None:
    before = snapshot(gan.generator)
    discriminator = {
        n: v for n, v in snapshot(gan.discriminator).items() if n.endswith(("orig", "bias"))
    }
    gan.step(sample, LearningRates(1e-3, 0.0), 1.0)
    after = {n: v for n, v in snapshot(gan.discriminator).items() if n in discriminator}
    assert equal(after, discriminator)
    assert not equal(snapshot(gan.generator), before)
    assert gan.discriminator is not None
    assert all(p.requires_grad for p in gan.discriminator.parameters())


def test_gradients_reach_both_branches(gan: GANStep, sample: PairBatch) -> None:
    gan.step(sample, LearningRates(0.0, 0.0), 1.0)
    without = [n for n, p in gan.generator.named_parameters() if p.grad is None or not p.grad.any()]
    # Two kinds of biases get none: those that a norm subtracts again, and those of the keys,
    # which softmax ignores.
    assert not [name for name in without if name.endswith("weight")], without


def test_every_term_is_reported(gan: GANStep, sample: PairBatch) -> None:
    losses = gan.step(sample, RATES, 1.0)
    assert set(losses) == {"discriminator", "target_l1", "source_l1", "adversarial", "generator"}
    w = CONFIG.weights
    total = w.reconstruction * (losses["target_l1"] + losses["source_l1"]) / 2
    assert losses["generator"] == pytest.approx(total + w.adversarial * losses["adversarial"])


def test_without_a_discriminator(sample: PairBatch) -> None:
    gan = GANStep(L1_ONLY, connect("fp32"))
    assert gan.discriminator is None
    assert set(gan.step(sample, RATES, 1.0)) == {"target_l1", "source_l1", "generator"}


def test_a_loss_that_is_not_finite(gan: GANStep, sample: PairBatch) -> None:
    with torch.no_grad():
        next(gan.generator.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="a loss is not finite"):
        gan.step(sample, RATES, 1.0)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_moving_average(sample: PairBatch, decay: float) -> None:
    gan = GANStep(replace(CONFIG, ema_decay=decay), connect("fp32"))
    before = snapshot(gan.generator)
    gan.step(sample, LearningRates(1e-2, 1e-2), 1.0)
    gan.update_average(1_000)
    now = snapshot(gan.generator)
    for name, value in gan.average.state_dict().items():
        assert torch.allclose(value, decay * before[name] + (1 - decay) * now[name], atol=1e-6)


def test_perceptual_losses_without_a_vgg() -> None:
    config = replace(CONFIG, weights=replace(CONFIG.weights, content=0.5))
    with pytest.raises(ValueError, match="no VGG"):
        GANStep(config, connect("fp32"))


def test_without_a_vgg_l1_is_the_only_term() -> None:
    black, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    terms = branch_terms(Branches(black, black), Branches(white, black), None)
    assert {name: term.item() for name, term in terms.items()} == {"target_l1": 1, "source_l1": 0}
